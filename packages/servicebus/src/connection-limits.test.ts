import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { container, message } from "./adapters/rhea.ts";
import { readOffered } from "./adapters/sections.ts";
import { configOf, noRenewal, one, openBroker } from "./testing/local-broker.ts";

const config = configOf({ Queues: [{ Name: "work" }] });
const OPEN = Buffer.from("AMQP\x00\x01\x00\x00", "latin1");

/** Sends this and goes on sending, until the broker has closed the connection for good. */
async function cutOff(port: number, ...pieces: Buffer[]): Promise<void> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.on("error", () => {});
  socket.resume();
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (const piece of pieces) socket.write(piece);
  const more = setInterval(() => socket.write("more"), 20);
  await closed;
  clearInterval(more);
}

test.each([
  ["a frame of four gigabytes", Buffer.from([255, 255, 255, 255, 2, 0, 0, 0])],
  ["a frame that is a little larger than was announced", Buffer.from([0, 1, 0, 1, 2, 0, 0, 0])],
  ["a frame without a size", Buffer.alloc(16)],
  [
    "an array that claims four thousand million values",
    Buffer.from([0, 0, 0, 21, 2, 0, 0, 0, 0, 0x53, 0x10, 0xf0, 0, 0, 0, 5, 255, 255, 255, 255, 0x41]),
  ],
])("%s ends the connection, though the peer keeps it open, and no other", async (_what, frame) => {
  await using it = await openBroker(config);
  const receiver = it.client.createReceiver("work", noRenewal);
  await it.client.createSender("work").sendMessages({ body: 1 });
  await cutOff(it.broker.port, OPEN, frame);
  await receiver.completeMessage(await one(receiver));
});

test("who has put no token may not open session after session", async () => {
  await using it = await openBroker(config);
  const socket = connect({ host: "127.0.0.1", port: it.broker.port });
  const client = container.create_container({ id: "greedy" });
  client.on("error", () => {});
  client.on("disconnected", () => {});
  const told = once(client, "connection_error");
  const connection = client.create_connection({ connection_details: () => ({}), reconnect: false }) as unknown as {
    init(socket: unknown): void;
    open(): void;
    create_session(): { begin(): void };
    error: { condition: string };
  };
  Object.assign(connection, { socket_ready: true });
  connection.init(socket);
  connection.open();
  for (let n = 0; n < 20; n++) connection.create_session().begin();
  await told;
  expect(connection.error.condition).toBe("amqp:resource-limit-exceeded");
  await once(socket, "close");
});

test("a message whose annotations or properties cannot be read is none", () => {
  const bad = {
    "annotations that are no map": [0x00, 0x53, 0x72, 0xa1, 1, 0x78],
    "a map that lacks a value": [0x00, 0x53, 0x74, 0xc1, 4, 1, 0xa1, 1, 0x78],
    "an array of endless nothing": [
      0x00, 0x53, 0x72, 0xc1, 14, 2, 0xa3, 1, 0x78, 0xf0, 0, 0, 0, 5, 255, 255, 255, 255, 0x41,
    ],
  };
  const body = message.encode({ body: "x" });
  for (const section of Object.values(bad)) {
    expect(() => readOffered(Buffer.concat([Buffer.from(section), body]))).toThrow(RangeError);
  }
  expect(readOffered(body).content).toEqual(body);
});
