import type { ServiceBusClient } from "@azure/service-bus";
import { expect, test } from "vitest";
import { configOf, noRenewal, one, openBroker, some } from "./testing/local-broker.ts";

const config = configOf({
  Queues: [{ Name: "work" }, { Name: "sessions", Properties: { RequiresSession: true } }],
});

/**
 * The JavaScript SDK has no `deleteMessages` yet (those for .NET, Java and Go do), so what they send is sent here over the
 * JavaScript SDK's own request link.
 */
async function deleteMessages(
  client: ServiceBusClient,
  queue: string,
  body: { "message-count": number; "enqueued-time-utc"?: Date; "session-id"?: string },
): Promise<number> {
  interface ManagementClient {
    replyTo: string;
    initWithUniqueReplyTo(): Promise<unknown>;
    _makeManagementRequest(request: object, logger: object): Promise<{ body: { "message-count"?: number } }>;
  }
  const context = Reflect.get(client, "_connectionContext") as { getManagementClient(path: string): ManagementClient };
  const management = context.getManagementClient(queue);
  await management.initWithUniqueReplyTo();
  const operation = "com.microsoft:batch-delete-messages";
  const silent = { logError() {}, verbose() {}, warning() {}, info() {} };
  const request = { body, reply_to: management.replyTo, application_properties: { operation } };
  return (await management._makeManagementRequest(request, silent)).body["message-count"] ?? 0;
}

test("messages that came before a time are deleted, the oldest first, at most as many as asked", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  await sender.sendMessages([1, 2, 3].map((body) => ({ body })));
  const now = () => new Date(Date.now() + 1);
  expect(await deleteMessages(it.client, "work", { "message-count": 2, "enqueued-time-utc": now() })).toBe(2);
  const [left] = await it.client.createReceiver("work", noRenewal).peekMessages(1);
  expect(left!.body).toBe(3);
  const beforeIt = new Date(left!.enqueuedTimeUtc!.getTime());
  expect(await deleteMessages(it.client, "work", { "message-count": 4_000, "enqueued-time-utc": beforeIt })).toBe(0);
  expect(await deleteMessages(it.client, "work", { "message-count": 4_000, "enqueued-time-utc": now() })).toBe(1);
  expect(it.broker.inspect("work")).toMatchObject({ active: 0, bytes: 0, enqueued: 3 });
});

test("what is locked, deferred or scheduled stays", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  await sender.sendMessages([1, 2, 3, 4].map((body) => ({ body })));
  await sender.scheduleMessages({ body: 5 }, new Date(Date.now() + 60_000));
  const receiver = it.client.createReceiver("work", noRenewal);
  const [locked, deferred, back] = await some(receiver, 3);
  await receiver.deferMessage(deferred!);
  await receiver.abandonMessage(back!);
  expect(await deleteMessages(it.client, "work", { "message-count": 4_000 })).toBe(2);
  expect(it.broker.inspect("work")).toMatchObject({ active: 1, locked: 1, deferred: 1, scheduled: 1 });
  await receiver.completeMessage(locked!);
  expect(it.broker.inspect("work").active).toBe(0);
});

test("in a queue with sessions its holder deletes a session's messages, and nobody else does", async () => {
  await using it = await openBroker(config);
  await it.client.createSender("sessions").sendMessages([
    { body: 1, sessionId: "a" },
    { body: 2, sessionId: "b" },
  ]);
  const asked = { "message-count": 10, "session-id": "a" };
  await expect(deleteMessages(it.client, "sessions", asked)).rejects.toMatchObject({ code: "SessionLockLost" });
  await it.client.acceptSession("sessions", "a", noRenewal);
  expect(await deleteMessages(it.client, "sessions", asked)).toBe(1);
  expect((await one(await it.client.acceptSession("sessions", "b", noRenewal))).body).toBe(2);
});

test("a number of messages outside Azure's limits is refused", async () => {
  await using it = await openBroker(config);
  for (const count of [0, 4_001]) {
    await expect(deleteMessages(it.client, "work", { "message-count": count })).rejects.toThrow(/Between 1 and 4000/);
  }
});
