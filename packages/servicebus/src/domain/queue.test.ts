import { expect, test } from "vitest";
import { volatileJournal } from "./journal.ts";
import type { OfferedMessage } from "./message.ts";
import { Namespace } from "./namespace.ts";
import type { NamespacePlan } from "./plan.ts";
import type { QueueSettings } from "./queue.ts";

const settings: QueueSettings = {
  lockDurationMs: 1_000,
  maxDeliveryCount: 3,
  defaultTtlMs: undefined,
  deadLetterExpired: false,
  requiresSession: false,
  maxBytes: 1_000,
  receiveDisabled: false,
};

function namespaceWith(changes: Partial<QueueSettings> = {}, duplicateWindowMs?: number) {
  const clock = { now: 1_000_000 };
  let tokens = 0;
  const plan: NamespacePlan = {
    queues: [
      {
        name: "Work",
        settings: { ...settings, ...changes },
        duplicateWindowMs,
        maxMessageBytes: 100,
        sendDisabled: false,
        assignsMessageIds: false,
      },
    ],
    topics: [],
  };
  const read = () => {
    throw new Error("nothing is forwarded here");
  };
  const around = { now: () => clock.now, newLockToken: () => `token-${++tokens}`, journal: volatileJournal, read };
  const namespace = new Namespace(plan, around);
  const send = (messageId: string, more: Partial<OfferedMessage> = {}) =>
    namespace.routing.send(namespace.target("work")!, [
      {
        messageId,
        content: Buffer.from(messageId),
        fields: () => ({ applicationProperties: new Map() }),
        changed: () => {
          throw new Error("a queue changes no properties");
        },
        ...more,
      },
    ]);
  return { clock, queue: namespace.queue("WORK")!, send };
}

test("messages are delivered in order, and one that comes back goes first", () => {
  const { queue, send } = namespaceWith();
  for (const id of ["a", "b", "c"]) send(id);
  const first = queue.lockNext()!;
  queue.lockNext();
  queue.settle(first.token, { kind: "abandon" });
  expect(queue.lockNext()!.message).toMatchObject({ sequenceNumber: 1, deliveryCount: 1 });
  expect(queue.lockNext()!.message.sequenceNumber).toBe(3);
  expect(queue.lockNext()).toBeUndefined();
});

test("a message given back unseen comes again as if it had not been delivered", () => {
  const { queue, send } = namespaceWith({ maxDeliveryCount: 1 });
  for (const id of ["a", "b"]) send(id);
  expect(queue.settle(queue.lockNext()!.token, { kind: "release" })).toBe(true);
  expect(queue.lockNext()!.message).toMatchObject({ sequenceNumber: 1, deliveryCount: 0 });
});

test("a lock ends exactly at its time: settling and renewing fail from then on", () => {
  const { clock, queue, send } = namespaceWith();
  send("a");
  const lock = queue.lockNext()!;
  clock.now += 999;
  expect(queue.renew(lock.token)).toBe(clock.now + 1_000);
  clock.now += 1_000;
  expect(queue.renew(lock.token)).toBeUndefined();
  expect(queue.settle(lock.token, { kind: "complete" })).toBe(false);
  expect(queue.releaseExpiredLocks()).toBe(1);
  expect(queue.lockNext()!.message.deliveryCount).toBe(1);
});

test("renewing one lock leaves the order of expiry right", () => {
  const { clock, queue, send } = namespaceWith();
  for (const id of ["a", "b"]) send(id);
  const a = queue.lockNext()!;
  queue.lockNext();
  clock.now += 500;
  queue.renew(a.token);
  clock.now += 500;
  expect(queue.releaseExpiredLocks()).toBe(1);
  expect(queue.nextLockExpiry()).toBe(a.lockedUntil);
});

test("after the lock duration was changed, each lock still ends at its own time", () => {
  const { clock, queue, send } = namespaceWith();
  for (const id of ["a", "b", "c"]) send(id);
  const long = queue.lockNext()!;
  queue.reconfigure({ ...queue.settings, lockDurationMs: 100 });
  const short = queue.lockNext()!;
  expect(queue.nextLockExpiry()).toBe(short.lockedUntil);
  clock.now += 100;
  expect(queue.releaseExpiredLocks()).toBe(1);
  expect(queue.nextLockExpiry()).toBe(long.lockedUntil);
  clock.now += 900;
  expect(queue.releaseExpiredLocks()).toBe(1);
  expect(queue.nextLockExpiry()).toBe(undefined);
});

test("the delivery that reaches the limit is the last", () => {
  const { clock, queue, send } = namespaceWith();
  send("poison");
  for (let delivery = 0; delivery < 3; delivery++) {
    expect(queue.lockNext()!.message.deliveryCount).toBe(delivery);
    clock.now += 1_000;
    queue.releaseExpiredLocks();
  }
  expect(queue.lockNext()).toBeUndefined();
  expect(queue.deadLetterQueue!.lockNext()!.message.deadLetter).toMatchObject({ reason: "MaxDeliveryCountExceeded" });
});

test("a duplicate is dropped until its window has passed, and does not extend it", () => {
  const { clock, queue, send } = namespaceWith({}, 20_000);
  send("a");
  clock.now += 19_999;
  send("a");
  expect(queue.counts().enqueued).toBe(1);
  clock.now += 1;
  send("a");
  expect(queue.counts().enqueued).toBe(2);
});

test("what has outlived its time goes without a receiver, unless somebody holds it", () => {
  const { clock, queue, send } = namespaceWith({ defaultTtlMs: 100, lockDurationMs: 1_000 });
  send("held");
  send("waiting");
  send("brief", { ttlMs: 10 });
  const held = queue.lockNext()!;
  clock.now += 100;
  queue.expireMessages();
  expect(queue.counts()).toMatchObject({ active: 1, locked: 1 });
  expect(queue.lockNext()).toBeUndefined();
  expect(queue.settle(held.token, { kind: "complete" })).toBe(true);
  expect(queue.counts()).toMatchObject({ active: 0, bytes: 0 });
});

test("a full queue takes nothing more until something leaves", () => {
  const { queue, send } = namespaceWith({ maxBytes: 10 });
  expect(send("0123456789")).toBe(undefined);
  expect(send("x")).toBe("full");
  queue.removeNext();
  expect(send("x")).toBe(undefined);
});

test("sequence numbers come in order whatever was put back, with thousands waiting", () => {
  const { queue, send } = namespaceWith({ maxBytes: Number.MAX_SAFE_INTEGER });
  for (let n = 0; n < 10_000; n++) send(String(n));
  const held = Array.from({ length: 6_000 }, () => queue.lockNext()!);
  for (const lock of [...held].reverse()) queue.settle(lock.token, { kind: "abandon" });
  const order = Array.from({ length: 10_000 }, () => queue.removeNext()!.sequenceNumber);
  expect(order).toEqual(Array.from({ length: 10_000 }, (_, n) => n + 1));
});
