import { once } from "node:events";
import tls from "node:tls";
import { ServiceBusClient } from "@azure/service-bus";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { configOf, eventually, noRenewal, one, openBroker } from "./testing/local-broker.ts";

const config = configOf({ Queues: [{ Name: "work", Properties: { RequiresDuplicateDetection: true } }] });

/** The SDK always asks for TLS; this is what a client without it would do. */
class PlainWebSocket extends WebSocket {
  constructor(url: string, protocols: string[], options?: object) {
    super(url.replace(/^wss:/, "ws:"), protocols, options);
  }
}

async function open(webSocket: unknown) {
  const it = await openBroker(config);
  tls.setDefaultCACertificates([it.broker.certificate]);
  const client = new ServiceBusClient(it.broker.connectionString.replace("127.0.0.1", "localhost"), {
    webSocketOptions: { webSocket: webSocket as never },
    retryOptions: { maxRetries: 10, retryDelayInMs: 50, timeoutInMs: 5_000 },
  });
  return {
    ...it,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await it[Symbol.asyncDispose]();
    },
  };
}

test.each([
  ["inside TLS", WebSocket],
  ["without TLS", PlainWebSocket],
])("AMQP in a WebSocket %s does all that AMQP does", async (_case, webSocket) => {
  await using it = await open(webSocket);
  const body = Buffer.alloc(200_000, 7);
  const sender = it.client.createSender("work");
  await sender.sendMessages({ body, messageId: "large" });
  await sender.sendMessages(Array.from({ length: 50 }, (_, n) => ({ body: n, messageId: `m-${n}` })));
  const receiver = it.client.createReceiver("work", noRenewal);
  const large = await one(receiver);
  expect(Buffer.compare(large.body, body)).toBe(0);
  await receiver.completeMessage(large);
  expect(await receiver.peekMessages(50, { fromSequenceNumber: large.sequenceNumber! })).toHaveLength(50);
  expect(it.broker.inspect("work")).toMatchObject({ active: 50, enqueued: 51 });
});

test("a connection that is dropped is made again, and nothing is stored twice", async () => {
  await using it = await open(WebSocket);
  it.broker.faults.set("f", { kind: "drop-connection", afterTransfers: 7, times: 2 });
  const sender = it.client.createSender("work");
  for (let n = 0; n < 20; n++) await sender.sendMessages({ body: n, messageId: `m-${n}` });
  expect(it.broker.inspect("work").enqueued).toBe(20);
});

test("a client that breaks off leaves nothing behind: its lock ends with its session", async () => {
  await using it = await openBroker(
    configOf({ Queues: [{ Name: "sessions", Properties: { RequiresSession: true } }] }),
  );
  const sockets: WebSocket[] = [];
  class Kept extends PlainWebSocket {
    constructor(url: string, protocols: string[], options?: object) {
      super(url, protocols, options);
      sockets.push(this);
    }
  }
  const client = new ServiceBusClient(it.broker.connectionString, {
    webSocketOptions: { webSocket: Kept as never },
    retryOptions: { maxRetries: 0 },
  });
  await client.acceptSession("sessions", "s", noRenewal);
  await expect(it.client.acceptSession("sessions", "s", noRenewal)).rejects.toMatchObject({
    code: "SessionCannotBeLocked",
  });
  for (const socket of sockets) socket.terminate();
  await eventually(async () => {
    const again = await it.client.acceptSession("sessions", "s", noRenewal).catch(() => undefined);
    return again !== undefined;
  });
  await client.close();
});

test.each([[["amqp"]], [["AMQPWSB10"]], [["mqtt", "amqp", "AMQPWSB10"]]])(
  "AMQP is known by both its names (%j)",
  async (names) => {
    await using it = await openBroker(config);
    const socket = new WebSocket(`ws://127.0.0.1:${it.broker.port}/$servicebus/websocket/`, names);
    await once(socket, "open");
    expect(socket.protocol).toBe(names.includes("AMQPWSB10") ? "AMQPWSB10" : "amqp");
    socket.close();
  },
);

test.each([
  ["another path", "/elsewhere", ["AMQPWSB10"], "404"],
  ["another protocol", "/$servicebus/websocket", ["mqtt"], "400"],
  ["no protocol", "/$servicebus/websocket", [], "400"],
])("%s is refused", async (_case, path, protocols, status) => {
  await using it = await openBroker(config);
  const socket = new WebSocket(`ws://127.0.0.1:${it.broker.port}${path}`, protocols);
  const [error] = (await once(socket, "error")) as [Error];
  expect(error.message).toContain(status);
});
