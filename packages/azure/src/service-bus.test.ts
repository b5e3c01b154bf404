import { type Broker, type BrokerConfig, start } from "@millrace/servicebus";
import { expect, it } from "vitest";
import { type OutgoingMessage, openServiceBus } from "./index.ts";
import { freePort } from "./testing/free-port.ts";

const config: BrokerConfig = {
  UserConfig: {
    Namespaces: [
      {
        Topics: [{ Name: "news", Properties: { RequiresDuplicateDetection: true }, Subscriptions: [{ Name: "all" }] }],
      },
    ],
  },
};

const message = (messageId: string, bytes = 100): OutgoingMessage => ({ messageId, body: Buffer.alloc(bytes, 1) });
const broker = (port = 0): Promise<Broker> =>
  start({ port, host: "127.0.0.1", config, sharedAccessKey: "a test's key" });

it("sends more than one batch holds, in order, and says for each message that it was taken", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  const messages = Array.from({ length: 1_000 }, (_, n) => message(String(n), 1_000));
  const results = await serviceBus.sender("news").sendAll(messages);
  expect(results).toEqual(messages.map(() => ({ ok: true })));
  const received: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await using _reader = serviceBus.subscribe({ topic: "news", subscription: "all" }, ({ messageId }) => {
    if (received.push(String(messageId)) === messages.length) resolve();
  });
  await promise;
  expect(received).toEqual(messages.map(({ messageId }) => messageId));
});

it("names the message that is too large, wherever it stands, and sends the others", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  const messages = [message("a"), message("large", 300_000), message("b"), message("larger", 400_000)];
  const results = await serviceBus.sender("news").sendAll(messages);
  expect(results.map((result) => (result.ok ? "taken" : result.kind))).toEqual([
    "taken",
    "too-large",
    "taken",
    "too-large",
  ]);
  expect(local.inspect("news/Subscriptions/all").active).toBe(2);
});

it("of a session, sends nothing behind a message that is not taken; others go on", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  const of = (id: string, sessionId: string, bytes = 100) => ({ ...message(id, bytes), sessionId });
  const messages = [of("a", "1"), of("b", "1", 300_000), of("c", "2"), of("d", "1"), of("e", "2")];
  const results = await serviceBus.sender("news").sendAll(messages);
  expect(results.map((result) => (result.ok ? "taken" : result.kind))).toEqual([
    "taken",
    "too-large",
    "taken",
    "behind",
    "taken",
  ]);
});

it("sorts what cannot be sent by what one can do about it, without throwing", async () => {
  const local = await broker();
  const kinds = async (connectionString: string, entity: string) => {
    await using serviceBus = await openServiceBus({ connectionString });
    return (await serviceBus.sender(entity).sendAll([message("a")])).map((result) =>
      result.ok ? "taken" : result.kind,
    );
  };
  const { connectionString } = local;
  expect(await kinds(connectionString, "nowhere")).toEqual(["not-found"]);
  expect(await kinds(connectionString.replace("a test's key", "another"), "news")).toEqual(["unauthorized"]);
  await local.close();
  expect(await kinds(connectionString, "news")).toEqual(["transient"]);
});

it("goes on by itself after the broker was away, and a repeat is taken once", async () => {
  const port = await freePort();
  await using serviceBus = await openServiceBus({
    connectionString: await withBroker(port, async (local) => local.connectionString),
  });
  const sender = serviceBus.sender("news");
  await withBroker(port, async (local) => {
    expect(await sender.sendAll([message("a")])).toEqual([{ ok: true }]);
    expect(local.inspect("news/Subscriptions/all").active).toBe(1);
  });
  expect(await sender.sendAll([message("b")])).toMatchObject([{ ok: false, kind: "transient" }]);
  await withBroker(port, async (local) => {
    expect(await sender.sendAll([message("b")])).toEqual([{ ok: true }]);
    expect(await sender.sendAll([message("b"), message("c")])).toEqual([{ ok: true }, { ok: true }]);
    expect(local.inspect("news/Subscriptions/all").active).toBe(2);
  });
});

it("closes in bounded time when the other side is gone", async () => {
  const local = await broker();
  const serviceBus = await openServiceBus(local);
  await serviceBus.sender("news").sendAll([message("a")]);
  await local.close();
  const started = performance.now();
  await serviceBus[Symbol.asyncDispose]();
  expect(performance.now() - started).toBeLessThan(4_000);
});

async function withBroker<T>(port: number, use: (local: Broker) => Promise<T>): Promise<T> {
  await using local = await broker(port);
  return await use(local);
}
