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

it("puts what comes while a batch is under way into the next, and a second one only when it is large", async () => {
  const { committer, seen } = onDisk({ batch_ms: 5 });
  const all = [...Array(40)].map(() => committer.store(message()));
  await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 100; i++) all.push(committer.store(message()));
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen.batches).toEqual([40]);
  for (let i = 0; i < 100; i++) all.push(committer.store(message()));
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen.batches).toEqual([40, 200]);
  await Promise.all(all);
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
