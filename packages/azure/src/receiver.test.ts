import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type BrokerConfig, start } from "@millrace/servicebus";
import { expect, it } from "vitest";
import { type LockedMessage, openServiceBus, type SendFailure } from "./index.ts";
import { freePort } from "./testing/free-port.ts";

/** Renewed after half of it; a slow machine has the other half. */
const LOCK_S = 4;
const config: BrokerConfig = {
  UserConfig: {
    Namespaces: [
      {
        Queues: [
          { Name: "orders", Properties: { LockDuration: `PT${LOCK_S}S`, MaxDeliveryCount: 3 } },
          { Name: "by-sensor", Properties: { RequiresSession: true, LockDuration: `PT${LOCK_S}S` } },
        ],
        Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }],
      },
    ],
  },
};
const broker = () => start({ port: 0, host: "127.0.0.1", config, sharedAccessKey: "a test's key" });
const message = (messageId: string, sessionId?: string) => ({
  messageId,
  body: Buffer.from(messageId),
  ...(sessionId === undefined ? {} : { sessionId }),
});
const ids = (count: number, prefix = "") => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

async function eventually(check: () => boolean, within_ms = 20_000): Promise<void> {
  const deadline = performance.now() + within_ms;
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${within_ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

it("gives messages of a queue and of a subscription, byte for byte, and takes each settlement", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  await serviceBus.sender("orders").sendAll(["done", "dead"].map((id) => message(id)));
  await serviceBus.sender("news").sendAll([message("read all about it")]);
  const bodies: string[] = [];
  const onMessage = async (locked: LockedMessage) => {
    bodies.push(String(locked.message.body));
    const settled = locked.message.messageId === "dead" ? locked.deadLetter("why", "more of it") : locked.complete();
    expect(await settled).toEqual({ ok: true });
    expect(await locked.complete()).toEqual({ ok: false, why: "it was settled before" });
  };
  const options = { concurrency: 4, onMessage, onState: () => {} };
  await using _queue = serviceBus.receive({ queue: "orders" }, options);
  await using _subscription = serviceBus.receive({ topic: "news", subscription: "all" }, options);
  await eventually(() => bodies.length === 3);
  expect(bodies.sort()).toEqual(["dead", "done", "read all about it"]);
  await eventually(() => local.inspect("orders").deadLettered === 1 && local.inspect("orders").locked === 0);
});

it("holds no more than it may, keeps them locked for longer than a lock lasts, and none is delivered again", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  await serviceBus.sender("orders").sendAll(ids(10).map((id) => message(id)));
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const deliveries: number[] = [];
  const onMessage = async (locked: LockedMessage) => {
    deliveries.push(locked.message.deliveryCount ?? 0);
    await released;
    expect(locked.lost).toBe(false);
    await locked.complete();
  };
  await using _receiver = serviceBus.receive({ queue: "orders" }, { concurrency: 3, onMessage, onState: () => {} });
  await eventually(() => deliveries.length === 3);
  await new Promise((resolve) => setTimeout(resolve, LOCK_S * 1_000 * 2.5)); // what is shown is that nothing happens
  expect(deliveries).toHaveLength(3);
  release();
  await eventually(() => deliveries.length === 10);
  expect(new Set(deliveries)).toEqual(new Set([0]));
});

it("says why nothing comes, goes on when the broker is back, and what was in hand is settled by then", async () => {
  await using directory = await folder();
  const port = await freePort();
  const open = () =>
    start({ port, host: "127.0.0.1", config, sharedAccessKey: "a test's key", dataDir: directory.path });
  let local = await open();
  await using serviceBus = await openServiceBus(local);
  const states: (SendFailure | undefined)[] = [];
  const taken: string[] = [];
  const onMessage = async (locked: LockedMessage) => {
    taken.push(String(locked.message.messageId));
    await locked.complete();
  };
  await using _receiver = serviceBus.receive(
    { queue: "orders" },
    { concurrency: 4, onMessage, onState: (state) => states.push(state) },
  );
  await eventually(() => states.length === 1);
  expect(states).toEqual([undefined]);
  await local.close();
  await eventually(() => states.at(-1) !== undefined, 40_000);
  local = await open();
  try {
    await eventually(() => states.at(-1) === undefined, 40_000);
    await serviceBus.sender("orders").sendAll(ids(5).map((id) => message(id)));
    await eventually(() => taken.length === 5, 40_000);
    expect(taken.sort()).toEqual(ids(5));
  } finally {
    await local.close();
  }
});

it("holds a bounded number while links come and go under it, keeps their locks, and goes on", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  const total = 40;
  await serviceBus.sender("orders").sendAll(ids(total).map((id) => message(id)));
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const taken = new Map<string, number>();
  let inHand = 0;
  let most = 0;
  const onMessage = async (locked: LockedMessage) => {
    most = Math.max(most, ++inHand);
    taken.set(String(locked.message.messageId), locked.message.deliveryCount ?? 0);
    await released;
    expect(locked.lost).toBe(false);
    await locked.complete();
    inHand--;
  };
  await using _receiver = serviceBus.receive({ queue: "orders" }, { concurrency: 4, onMessage, onState: () => {} });
  await eventually(() => inHand === 4);
  local.faults.set("flaky", { kind: "drop-link", everyMs: 250, durationMs: 3_000, entity: "orders" });
  await eventually(() => local.faults.list().every(({ active }) => !active));
  await new Promise((resolve) => setTimeout(resolve, LOCK_S * 1_000)); // what is shown is that no lock ends
  release();
  await eventually(() => taken.size === total && local.inspect("orders").active + local.inspect("orders").locked === 0);
  expect(most).toBeLessThanOrEqual(12); // twice as many, and what was granted when that was noticed
  expect([...taken.values()].filter((deliveries) => deliveries > 0)).toEqual([]);
});

it("says that an entity is missing", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  const states: (SendFailure | undefined)[] = [];
  const options = { onMessage: async () => {}, onState: (state: SendFailure | undefined) => void states.push(state) };
  await using _receiver = serviceBus.receive({ queue: "nowhere" }, { ...options, concurrency: 1 });
  await using _sessions = serviceBus.receiveSessions({ queue: "nowhere" }, { ...options, sessions: 1, idle_ms: 100 });
  await eventually(() => states.length >= 2);
  expect(states.map((state) => state?.kind)).toEqual(states.map(() => "not-found"));
});

it("takes several sessions beside each other, each in order, and releases one that is idle for the next", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  const sessions = ids(5, "sensor-");
  for (const n of ids(20))
    await serviceBus.sender("by-sensor").sendAll(sessions.map((session) => message(`${session}/${n}`, session)));
  const bySession = new Map<string, string[]>();
  let atOnce = 0;
  let most = 0;
  const onMessage = async (locked: LockedMessage) => {
    most = Math.max(most, ++atOnce);
    const { sessionId, messageId } = locked.message;
    bySession.set(sessionId!, [...(bySession.get(sessionId!) ?? []), String(messageId)]);
    await new Promise((resolve) => setTimeout(resolve, 2));
    atOnce--;
    await locked.complete();
  };
  const options = { sessions: 2, idle_ms: 200, onMessage, onState: () => {} };
  await using _receiver = serviceBus.receiveSessions({ queue: "by-sensor" }, options);
  await eventually(() => [...bySession.values()].flat().length === 100);
  for (const session of sessions) expect(bySession.get(session)).toEqual(ids(20).map((n) => `${session}/${n}`));
  expect(most).toBe(2);
});

it("keeps a session whose message takes longer than its lock lasts", async () => {
  await using local = await broker();
  await using serviceBus = await openServiceBus(local);
  await serviceBus.sender("by-sensor").sendAll([message("a", "s"), message("b", "s")]);
  const seen: string[] = [];
  const onMessage = async (locked: LockedMessage) => {
    seen.push(`${locked.message.messageId}:${locked.message.deliveryCount}`);
    await new Promise((resolve) => setTimeout(resolve, LOCK_S * 1_500));
    expect(locked.lost).toBe(false);
    expect(await locked.complete()).toEqual({ ok: true });
  };
  const options = { sessions: 2, idle_ms: 300, onMessage, onState: () => {} };
  await using _receiver = serviceBus.receiveSessions({ queue: "by-sensor" }, options);
  await eventually(() => seen.length === 2 && local.inspect("by-sensor").active === 0);
  expect(seen).toEqual(["a:0", "b:0"]);
});

async function folder() {
  const dir = await mkdtemp(path.join(tmpdir(), "receiver-"));
  return { path: dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}
