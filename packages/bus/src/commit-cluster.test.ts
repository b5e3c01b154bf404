import { freshRequestId } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsCluster } from "@millrace/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import type { Outgoing } from "./outgoing.ts";
import { provision } from "./provision.ts";
import { readLast } from "./read.ts";

/** On three nodes the stream's leader guards what it has proposed and not applied; followers may be behind. */
let cluster: Awaited<ReturnType<typeof natsCluster>>;
let one: Bus;
let other: Bus;
beforeAll(async () => {
  cluster = await natsCluster();
  const log = createLogger("commit-cluster-test", "fatal");
  const as = (user: string) => connectBus({ url: cluster.url, user, password: cluster.passwordOf(user), log });
  one = await as("operator");
  other = await as("inference");
  await provision(one, { replicas: 3 });
}, 60_000);
afterAll(async () => {
  await one?.[Symbol.asyncDispose]();
  await other?.[Symbol.asyncDispose]();
  await cluster?.close();
});

const outgoing = (id: string, state: "done" | "dead", expected = 0): Outgoing => ({
  subject: `out.a.b.m.${id}.${state}`,
  exclusive: `out.a.b.m.${id}.*`,
  expected,
  body: Buffer.from(state),
  envelope: { id, type: "t", source: "s", subject: "s", time: "t", datacontenttype: "c", correlationid: "c" },
});
const ids = (count: number) => Array.from({ length: count }, () => freshRequestId());

it("lets two writers race in batches, and each id has one outcome; then each is replaced once", async () => {
  const all = ids(400);
  const race = await Promise.all(
    all.map((id) => Promise.all([one.store(outgoing(id, "done")), other.store(outgoing(id, "dead"))])),
  );
  const first = new Map<string, number>();
  for (const [index, [done, dead]] of race.entries()) {
    const id = all[index]!;
    const won = [done, dead].filter((stored) => stored.stored);
    // Both may be refused only if the answer to the one that was stored was lost; both may never be stored.
    expect(won.length).toBeLessThanOrEqual(1);
    const last = await readLast(one, "OUTCOMES", `out.a.b.m.${id}.*`);
    expect(last).toBeDefined();
    for (const stored of won) expect(last!.sequence).toBe(stored.sequence);
    first.set(id, last!.sequence);
  }
  const { messages } = (await one.jsm.streams.info("OUTCOMES")).state;
  expect(messages).toBe(400);

  const again = await Promise.all(
    all.map((id) => {
      const expected = first.get(id)!;
      return Promise.all([one.store(outgoing(id, "done", expected)), other.store(outgoing(id, "done", expected))]);
    }),
  );
  for (const pair of again) expect(pair.filter((stored) => stored.stored).length).toBeLessThanOrEqual(1);
  expect((await one.jsm.streams.info("OUTCOMES")).state.messages).toBe(800);
}, 60_000);

it("stores every message once while leaders are killed", async () => {
  const before = (await one.jsm.streams.info("OUTCOMES")).state.messages;
  const all = ids(2_000);
  const storing = Promise.all(
    all.map(async (id, index) => {
      await new Promise((resolve) => setTimeout(resolve, index));
      // A leader's election may outlast a publisher's patience: what is not confirmed is published again.
      for (let attempt = 1; ; attempt++)
        try {
          return await one.store(outgoing(id, "done"));
        } catch (cause) {
          if (attempt === 10) throw cause;
        }
    }),
  );
  for (let kills = 0; kills < 2; kills++) {
    await new Promise((resolve) => setTimeout(resolve, 400));
    const leader = await cluster.leaderOf("OUTCOMES");
    await leader?.server.kill();
    await leader?.server.restart();
    await cluster.untilHealthy();
  }
  await storing;
  expect((await one.jsm.streams.info("OUTCOMES")).state.messages).toBe(before + 2_000);
  for (const id of all) expect(await readLast(one, "OUTCOMES", `out.a.b.m.${id}.*`)).toBeDefined();
}, 120_000);
