import { createLogger } from "@millrace/kit";
import type { NatsConnection } from "nats";
import { expect, it } from "vitest";
import { createCommitter } from "./commit.ts";
import type { Outgoing } from "./outgoing.ts";
import { wait } from "./wait.ts";

/** A committer before a server that takes `batch_ms` for every batch, and what that server saw. */
function onDisk({ batch_ms, batchMin }: { batch_ms: number; batchMin?: number }) {
  const seen = { batches: [] as number[], singles: 0 };
  let staged = 0;
  let sequence = 0;
  const nc = {
    isClosed: () => false,
    publish: () => void staged++,
    async request() {
      const count = staged + 1;
      staged = 0;
      sequence += count;
      seen.batches.push(count);
      const ack = { stream: "S", seq: sequence, count };
      await wait(batch_ms);
      return { json: () => ack };
    },
  };
  const committer = createCommitter({
    nc: nc as unknown as NatsConnection,
    log: createLogger("commit-forming-test", "fatal"),
    single: async () => {
      seen.singles++;
      await wait(batch_ms / 5);
      return { stored: true, stream: "S", sequence: ++sequence };
    },
    lastUnder: async () => new Map(),
    ...(batchMin === undefined ? {} : { batchMin }),
  });
  return { committer, seen };
}

/** Longer than a busy machine takes for a few turns of the event loop. */
const LONG_MS = 1_000;

let next = 0;
const message = (): Outgoing => ({
  subject: `out.a.b.m.${next}.done`,
  exclusive: `out.a.b.m.${next++}.*`,
  body: Buffer.from("{}"),
  envelope: { id: "i", type: "t", source: "s", subject: "s", time: "t", datacontenttype: "c", correlationid: "c" },
});

it("sends a lone message in the turn in which it came", async () => {
  const { committer, seen } = onDisk({ batch_ms: 1 });
  const stored = committer.store(message());
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toEqual({ batches: [], singles: 1 });
  expect((await stored).stored).toBe(true);
});

it("puts what comes while a batch is under way into the next; a second one goes when it holds half of all", async () => {
  const { committer, seen } = onDisk({ batch_ms: LONG_MS });
  const all: Promise<unknown>[] = [];
  const come = async (count: number) => {
    for (let i = 0; i < count; i++) all.push(committer.store(message()));
    await new Promise((resolve) => setImmediate(resolve));
  };
  await come(40);
  await come(39);
  expect(seen.batches).toEqual([40]);
  await come(1);
  expect(seen.batches).toEqual([40, 40]);
  await come(200);
  expect(seen.batches).toEqual([40, 40]); // a third waits for one of them
  await Promise.all(all);
  expect(seen).toEqual({ batches: [40, 40, 200], singles: 0 });
});

it("makes no second batch of a few", async () => {
  const { committer, seen } = onDisk({ batch_ms: LONG_MS });
  const all = [...Array(8)].map(() => committer.store(message()));
  await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 15; i++) all.push(committer.store(message()));
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen.batches).toEqual([8]);
  await Promise.all(all);
  expect(seen.batches).toEqual([8, 15]);
});

it("on a slow disk waits for those it has answered, so that all clients share a batch", async () => {
  const { committer, seen } = onDisk({ batch_ms: 40 });
  const client = async (index: number) => {
    await wait(index < 32 ? 0 : 20); // half of them come while the first batch is under way
    for (let round = 0; round < 8; round++) {
      await committer.store(message());
      await wait(2);
    }
  };
  await Promise.all([...Array(64).keys()].map(client));
  // In halves it would be sixteen.
  expect(seen.batches.length + Math.ceil(seen.singles / 64)).toBeLessThanOrEqual(12);
});

it("makes no batch when told so", async () => {
  const { committer, seen } = onDisk({ batch_ms: 1, batchMin: Number.POSITIVE_INFINITY });
  await Promise.all([...Array(100)].map(() => committer.store(message())));
  expect(seen).toEqual({ batches: [], singles: 100 });
});
