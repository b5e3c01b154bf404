import { randomUUID } from "node:crypto";
import { type LockedMessage, openServiceBus, type ReceivedMessage } from "@millrace/azure";
import { type BrokerConfig, start } from "@millrace/servicebus";
import { expect, test } from "vitest";
import { millrace } from "./testing/api.ts";

const config: BrokerConfig = {
  UserConfig: {
    Namespaces: [
      {
        Queues: [{ Name: "orders", Properties: { RequiresDuplicateDetection: true } }],
        Topics: [{ Name: "predictions", Subscriptions: [{ Name: "enterprise" }, { Name: "other" }] }],
      },
    ],
  },
};

/** A local Service Bus in which so many messages are dead-lettered, and the command line for it. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await start({ port: 0, host: "127.0.0.1", config, sharedAccessKey: "a test's key" }));
  const serviceBus = stack.use(await openServiceBus(broker));
  const env = { SERVICEBUS_CONNECTION_STRING: broker.connectionString };
  const owned = stack.move();
  /** Takes so many messages, or dead-letters them. */
  const take = async (from: Parameters<typeof serviceBus.receive>[0], count: number, reason?: string) => {
    const taken: ReceivedMessage[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const onMessage = async (locked: LockedMessage) => {
      if (reason === undefined) await locked.complete();
      else await locked.deadLetter(reason, "as a test");
      if (taken.push(locked.message) === count) resolve();
    };
    await using _receiver = serviceBus.receive(from, { concurrency: 1, onMessage, onState: () => {} });
    await promise;
    return taken;
  };
  const send = (entity: string, ids: readonly string[]) =>
    serviceBus.sender(entity).sendAll(
      ids.map((messageId) => ({
        messageId,
        body: Buffer.from(`body of ${messageId}`),
        contentType: "text/plain",
        correlationId: "c",
        applicationProperties: { model: "sum" },
      })),
    );
  return {
    broker,
    send,
    take,
    dead: (...args: string[]) => millrace(["azure", "dead", ...args], { env }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
const ids = (count: number) => Array.from({ length: count }, (_, n) => `m-${n}`);

test("lists what died, with the reason and no body, and says what it cannot count", async () => {
  await using it = await open();
  await it.send("orders", ids(3));
  await it.take({ queue: "orders" }, 3, "malformed-json");
  const { code, out } = await it.dead("list", "--entity", "orders");
  expect(code).toBe(0);
  expect(out).toMatch(/malformed-json +m-0 +as a test/);
  expect(out).not.toContain("body of");
  expect((await it.dead("list", "--entity", "orders", "--json", "--limit", "2")).out.trim().split("\n")).toHaveLength(
    2,
  );
  expect((await it.dead("list", "--entity", "predictions/Subscriptions/other")).out).toContain("has no dead letters");
});

test("moves dead letters back as clones that duplicate detection does not swallow", async () => {
  await using it = await open();
  await it.send("orders", ids(5));
  await it.take({ queue: "orders" }, 5, "poison");
  const dry = await it.dead("redrive", "--entity", "orders", "--limit", "3", "--dry-run");
  expect(dry.out).toContain("3 would be moved; nothing was.");
  expect(it.broker.inspect("orders").deadLettered).toBe(5);
  const { code, out } = await it.dead("redrive", "--entity", "orders", "--limit", "3");
  expect(code).toBe(0);
  expect(out).toContain("m-0  moved as m-0:redrive-1");
  expect(out).toContain("3 moved.");
  const [first] = await it.take({ queue: "orders" }, 3, "poison");
  expect(first).toMatchObject({
    messageId: "m-0:redrive-1",
    correlationId: "c",
    contentType: "text/plain",
    deliveryCount: 0,
    applicationProperties: {
      model: "sum",
      "millrace-original-message-id": "m-0",
      "millrace-redrives": 1,
      "millrace-redriven-from": "orders",
    },
  });
  expect(first!.applicationProperties).not.toHaveProperty("DeadLetterReason");
  expect(String(first!.body)).toBe("body of m-0");
  // Those that died again are named by the first id still.
  const again = await it.dead("redrive", "--entity", "orders", "--all");
  expect(again.out).toContain("m-3  moved as m-3:redrive-1");
  expect(again.out).toContain("m-0:redrive-1  moved as m-0:redrive-2");
  expect(await it.take({ queue: "orders" }, 5)).toHaveLength(5);
});

test("does not put a subscription's dead letters before all subscriptions unless that is said", async () => {
  await using it = await open();
  const [entity, from] = ["predictions/Subscriptions/enterprise", { topic: "predictions", subscription: "enterprise" }];
  await it.send("predictions", ids(2));
  await it.take(from, 2, "poison");
  await it.take({ topic: "predictions", subscription: "other" }, 2);
  const refused = await it.dead("redrive", "--entity", entity, "--all");
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.error).toContain("--to-topic");
  expect(it.broker.inspect(entity).deadLettered).toBe(2);
  expect((await it.dead("redrive", "--entity", entity, "--all", "--to-topic")).out).toContain("2 moved.");
  const [message] = await it.take({ topic: "predictions", subscription: "other" }, 2);
  expect(message!.applicationProperties).toMatchObject({ "millrace-redriven-from": entity });
});

test("says what is wrong with the command, the entity or the link", async () => {
  await using it = await open();
  expect(await it.dead("redrive", "--entity", "orders")).toMatchObject({ code: 2 });
  expect(await it.dead("list", "--entity", "orders/$DeadLetterQueue")).toMatchObject({ code: 2 });
  const missing = await it.dead("list", "--entity", `queue-${randomUUID()}`);
  expect(missing).toMatchObject({ code: 1 });
  expect(missing.error).toContain("did not do it");
  await it.broker.close();
  expect(await it.dead("list", "--entity", "orders")).toMatchObject({ code: 3 });
});
