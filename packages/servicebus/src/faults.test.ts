import { ServiceBusClient } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { configOf, eventually, noRenewal, one, openBroker, some } from "./testing/local-broker.ts";

/*
 * What the unmodified SDK makes of each fault, and that with duplicate detection nothing is lost or doubled after it.
 */
const config = configOf({
  Queues: [
    { Name: "work", Properties: { RequiresDuplicateDetection: true, LockDuration: "PT2S", MaxDeliveryCount: 100 } },
    { Name: "other" },
    { Name: "sessions", Properties: { RequiresSession: true } },
  ],
});

const untiring = { retryOptions: { maxRetries: 150, retryDelayInMs: 20, maxRetryDelayInMs: 200, timeoutInMs: 2_000 } };

async function open() {
  const it = await openBroker(config, { timeoutInMs: 2_000 });
  const patient = new ServiceBusClient(it.broker.connectionString, untiring);
  return {
    ...it,
    /** A client that tries again, as an application's does; the other one shows what happened. */
    patient,
    async [Symbol.asyncDispose]() {
      it.broker.faults.clear();
      await patient.close();
      await it[Symbol.asyncDispose]();
    },
  };
}

type Opened = Awaited<ReturnType<typeof open>>;

/** Sends one after the other until it is enough, and receives meanwhile: each is stored once, handled, and gone in the end. */
async function transferUntil(enough: (sent: number) => boolean, { patient, broker }: Opened) {
  const handled = new Set<unknown>();
  const receiver = patient.createReceiver("work");
  receiver.subscribe(
    { processMessage: async ({ messageId }) => void handled.add(messageId), processError: async () => {} },
    { maxConcurrentCalls: 8 },
  );
  const sender = patient.createSender("work");
  let sent = 0;
  while (!enough(sent) && sent < 20_000) await sender.sendMessages({ body: sent, messageId: `m-${sent++}` });
  await eventually(() => handled.size === sent && broker.inspect("work").active === 0, 60_000);
  expect(broker.inspect("work").enqueued).toBe(sent);
  await receiver.close();
}

const faultOf = ({ broker }: Opened, name = "f") => broker.faults.list().find((fault) => fault.name === name);

describe("connections and links", () => {
  test.each([
    ["drop-connection", { everyMs: 250 }],
    ["drop-connection", { afterTransfers: 40 }],
    ["drop-link", { everyMs: 250 }],
    ["drop-link", { afterTransfers: 40 }],
  ] as const)("%s %o: the SDK comes back each time; nothing is lost or stored twice", async (kind, when) => {
    await using it = await open();
    it.broker.faults.set("f", { kind, ...when, entity: "work", times: 5 });
    await transferUntil(() => faultOf(it)?.struck === 5, it);
    expect(faultOf(it)?.struck).toBe(5);
  });

  test("a partition: nothing is heard, then everything goes on where it was", async () => {
    await using it = await open();
    const sender = it.patient.createSender("work");
    await sender.sendMessages({ body: "before", messageId: "1" });
    it.broker.faults.set("f", { kind: "partition" });
    let sent = false;
    const sending = sender.sendMessages({ body: "after", messageId: "2" }).then(() => {
      sent = true;
    });
    await expect(it.client.createSender("work").sendMessages({ body: "new" })).rejects.toMatchObject({
      code: "ServiceTimeout",
    });
    expect(sent).toBe(false);
    expect(it.broker.inspect("work").enqueued).toBe(1);
    it.broker.faults.clear("f");
    await sending;
    const bodies = (await some(it.patient.createReceiver("work", noRenewal), 2)).map(({ body }) => body);
    expect(bodies).toEqual(["before", "after"]);
    expect(it.broker.inspect("work").enqueued).toBe(2);
  });

  test("refused connections: no new ones, and those there are go on", async () => {
    await using it = await open();
    const sender = it.patient.createSender("work");
    await sender.sendMessages({ body: 1 });
    it.broker.faults.set("f", { kind: "refuse" });
    await sender.sendMessages({ body: 2 });
    await expect(it.client.createSender("work").sendMessages({ body: 3 })).rejects.toThrow(/ECONNRESET|reset|hang up/i);
    it.broker.faults.clear("f");
    await it.client.createSender("work").sendMessages({ body: 4 });
    expect(it.broker.inspect("work").enqueued).toBe(3);
  });

  test("refused links: not to that entity, and to others", async () => {
    await using it = await open();
    it.broker.faults.set("f", { kind: "refuse", entity: "work", times: 2 });
    await expect(it.client.createSender("work").sendMessages({ body: 1 })).rejects.toThrow(/fault on demand/);
    await it.client.createSender("other").sendMessages({ body: 2 });
    await it.patient.createSender("work").sendMessages({ body: 3 });
    expect(it.broker.inspect("work").enqueued).toBe(1);
  });
});

describe("a busy service", () => {
  test("refuses what is sent, also for later; it comes through when the SDK tries again", async () => {
    await using it = await open();
    it.broker.faults.set("f", { kind: "server-busy", operations: ["send"], times: 6 });
    const sender = it.client.createSender("work");
    const busy = { code: "ServiceBusy", retryable: true };
    await expect(sender.sendMessages({ body: 1, messageId: "1" })).rejects.toMatchObject(busy);
    await expect(sender.sendMessages([{ body: 1 }, { body: 2 }])).rejects.toMatchObject(busy);
    await expect(sender.scheduleMessages({ body: 1 }, new Date(Date.now() + 60_000))).rejects.toMatchObject(busy);
    expect(it.broker.inspect("work")).toMatchObject({ enqueued: 0, scheduled: 0 });
    await it.patient.createSender("work").sendMessages({ body: 1, messageId: "1" });
    expect(faultOf(it)).toMatchObject({ struck: 6, active: false });
    expect(it.broker.inspect("work").enqueued).toBe(1);
  });

  test("refuses receivers, those that wait already too", async () => {
    await using it = await open();
    const waiting = it.client.createReceiver("work", noRenewal);
    const early = waiting.receiveMessages(1, { maxWaitTimeInMs: 10_000 }).catch((error: unknown) => error);
    await it.client.createReceiver("work").peekMessages(1);
    it.broker.faults.set("f", { kind: "server-busy", operations: ["receive"] });
    const busy = { code: "ServiceBusy" };
    const fresh = it.client.createReceiver("work", noRenewal);
    await expect(fresh.receiveMessages(1, { maxWaitTimeInMs: 1_000 })).rejects.toMatchObject(busy);
    await it.client.createSender("work").sendMessages({ body: 1 });
    expect(await early).toMatchObject(busy);
    it.broker.faults.clear();
    await waiting.completeMessage(await one(waiting));
  });
});

describe("locks and settlements", () => {
  test("a lock that is lost: the receiver is told, and the message comes again", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages({ body: 1 });
    it.broker.faults.set("f", { kind: "lose-lock", times: 1 });
    const receiver = it.client.createReceiver("work", noRenewal);
    await expect(receiver.completeMessage(await one(receiver))).rejects.toMatchObject({ code: "MessageLockLost" });
    const again = await one(receiver);
    expect(again.deliveryCount).toBe(1);
    await receiver.completeMessage(again);
    expect(it.broker.inspect("work").active).toBe(0);
  });

  test("a session's lock that is lost: the session can be accepted again", async () => {
    await using it = await open();
    await it.client.createSender("sessions").sendMessages({ body: 1, sessionId: "s" });
    it.broker.faults.set("f", { kind: "lose-lock", entity: "sessions", times: 1 });
    const receiver = await it.client.acceptSession("sessions", "s", noRenewal);
    const message = await one(receiver);
    await expect(receiver.completeMessage(message)).rejects.toMatchObject({ code: /LockLost/ });
    const next = await it.client.acceptSession("sessions", "s", noRenewal);
    await next.completeMessage(await one(next));
    expect(it.broker.inspect("sessions").active).toBe(0);
  });

  test("a settlement whose answer is lost was made", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages({ body: 1 });
    it.broker.faults.set("f", { kind: "lose-disposition", applied: true, times: 1 });
    const receiver = it.client.createReceiver("work", noRenewal);
    await expect(receiver.completeMessage(await one(receiver))).rejects.toMatchObject({ code: "ServiceTimeout" });
    expect(it.broker.inspect("work")).toMatchObject({ active: 0, locked: 0 });
  });

  test("a settlement that is lost itself was not made: the message comes again when its lock runs out", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages({ body: 1 });
    it.broker.faults.set("f", { kind: "lose-disposition", applied: false, times: 1 });
    const receiver = it.client.createReceiver("work", noRenewal);
    await expect(receiver.completeMessage(await one(receiver))).rejects.toMatchObject({ code: "ServiceTimeout" });
    await receiver.completeMessage(await one(receiver));
    expect(it.broker.inspect("work")).toMatchObject({ active: 0, locked: 0 });
  });

  test("many are lost at random: every message is handled, and none stays", async () => {
    await using it = await open();
    const often = { probability: 0.2, durationMs: 60_000 };
    it.broker.faults.set("lock", { kind: "lose-lock", ...often, seed: 1 });
    it.broker.faults.set("answer", { kind: "lose-disposition", applied: true, times: 3 });
    it.broker.faults.set("both", { kind: "lose-disposition", applied: false, times: 3 });
    await transferUntil((sent) => sent === 60, it);
    expect(faultOf(it, "lock")?.struck).toBeGreaterThan(0);
  });
});

describe("confirmations", () => {
  test("one that is lost: the sender times out, sends again, and the message is there once", async () => {
    await using it = await open();
    it.broker.faults.set("f", { kind: "lose-send-confirmation", times: 2 });
    await expect(it.client.createSender("work").sendMessages({ body: 1, messageId: "1" })).rejects.toMatchObject({
      code: "ServiceTimeout",
    });
    expect(it.broker.inspect("work").enqueued).toBe(1);
    await it.patient.createSender("work").sendMessages({ body: 2, messageId: "2" });
    expect(faultOf(it)).toMatchObject({ struck: 2, active: false });
    expect(it.broker.inspect("work").enqueued).toBe(2);
  });

  test("a delay: everything takes longer, in the same order", async () => {
    await using it = await open();
    it.broker.faults.set("f", { kind: "delay", ms: 100, probability: 0.5, seed: 3, entity: "work" });
    it.broker.faults.set("slow", { kind: "delay", ms: 300, of: ["disposition"], entity: "other", times: 1 });
    const began = performance.now();
    await it.client.createSender("other").sendMessages({ body: 0 });
    expect(performance.now() - began).toBeGreaterThanOrEqual(299);
    const sender = it.client.createSender("work");
    await Promise.all(Array.from({ length: 20 }, (_, n) => sender.sendMessages({ body: n, messageId: `m-${n}` })));
    const received = await some(it.client.createReceiver("work", { receiveMode: "receiveAndDelete" }), 20);
    expect(received.map(({ body }) => body)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });
});
