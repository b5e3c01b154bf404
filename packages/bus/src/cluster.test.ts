import { freshRequestId, OUTCOMES, outcomeFilter, outcomeSubject } from "@millrace/contracts";
import { createLogger, type Logger } from "@millrace/kit";
import { natsCluster, natsServer, seededRandom } from "@millrace/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import { durabilityOf, readSyncAlways } from "./durability.ts";
import type { Outgoing, Stored } from "./outgoing.ts";
import { provision } from "./provision.ts";
import { publishSingle } from "./publish.ts";
import { readLast } from "./read.ts";

const silent = createLogger("cluster-test", "fatal");

const address = (id: string) => ({ tenant: "acme", project: "plant", model: "pump", id });
const outgoing = (id: string, state: "done" | "dead"): Outgoing => ({
  subject: outcomeSubject({ ...address(id), state }),
  exclusive: outcomeFilter(address(id)),
  body: Buffer.from(state),
  envelope: { id, type: "t", source: "s", subject: "s", time: "t", datacontenttype: "c", correlationid: "c" },
});
const ids = (count: number) => Array.from({ length: count }, () => freshRequestId());

/** Outcomes by id, as the stream holds them. */
async function outcomes(bus: Bus): Promise<Map<string, string[]>> {
  const info = await bus.jsm.streams.info(OUTCOMES.name, { subjects_filter: ">" });
  const found = new Map<string, string[]>();
  for (const [subject, count] of Object.entries(info.state.subjects ?? {})) {
    const [, , , , id, state] = subject.split(".");
    found.set(id!, [...(found.get(id!) ?? []), ...Array.from({ length: count }, () => state!)]);
  }
  return found;
}

/** A publisher that does not give up: an election may outlast the patience of one call. */
async function storeAtLast(bus: Bus, message: Outgoing): Promise<Stored> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await bus.store(message);
    } catch (cause) {
      if (attempt === 10) throw cause;
    }
  }
}

/**
 * Two writers for each id, on connections of their own: one says done, the other dead, the first of them twice at once.
 * Some race alone, some in batches, as the seed has it.
 */
async function race(writers: readonly Bus[], all: readonly string[], spread_ms: number): Promise<void> {
  const random = seededRandom();
  await Promise.all(
    all.map(async (id) => {
      const [one, other] = random.shuffled(writers) as [Bus, Bus];
      await new Promise((resolve) => setTimeout(resolve, random.integer(0, spread_ms)));
      const stored = await Promise.all([
        storeAtLast(one, outgoing(id, "done")),
        storeAtLast(other, outgoing(id, "dead")),
        storeAtLast(one, outgoing(id, "done")),
      ]);
      expect(stored.filter((answer) => answer.stored).length).toBeLessThanOrEqual(1);
    }),
  );
}

const each = (found: ReadonlyMap<string, readonly string[]>, all: readonly string[]) =>
  all.map((id) => found.get(id)?.length ?? 0);

describe("on one node", () => {
  it("several writers of done and dead leave one outcome per id", async () => {
    await using server = await natsServer();
    await using writers = new AsyncDisposableStack();
    const connect = async (user: string) =>
      writers.use(await connectBus({ url: server.url, user, password: server.passwordOf(user), log: silent }));
    const operator = await connect("operator");
    await provision(operator, { replicas: 1 });
    const all = ids(1_000);
    await race([operator, await connect("inference"), await connect("operator")], all, 300);
    expect(each(await outcomes(operator), all)).toEqual(all.map(() => 1));
  }, 60_000);
});

describe("on three nodes", () => {
  let cluster: Awaited<ReturnType<typeof natsCluster>>;
  let writers: Bus[];
  beforeAll(async () => {
    cluster = await natsCluster();
    writers = await Promise.all([connect("operator"), connect("inference"), connect("operator")]);
    await provision(writers[0]!, { replicas: 3 });
  }, 60_000);
  afterAll(async () => {
    for (const writer of writers ?? []) await writer[Symbol.asyncDispose]();
    await cluster?.close();
  });

  const connect = (user: string, url = cluster.url, log: Logger = silent) =>
    connectBus({ url, user, password: cluster.passwordOf(user), log });

  it("several writers of done and dead leave one outcome per id, also while leaders are killed", async () => {
    const all = ids(1_500);
    const racing = race(writers, all, 12_000);
    for (let kill = 0; kill < 3; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const leader = await cluster.leaderOf(OUTCOMES.name);
      await leader?.server.kill();
      await new Promise((resolve) => setTimeout(resolve, 500));
      await leader?.server.restart();
      await cluster.untilHealthy();
    }
    await racing;
    expect(each(await outcomes(writers[0]!), all)).toEqual(all.map(() => 1));
  }, 120_000);

  it("an outcome is there for every reader as soon as it is acknowledged, whichever node is asked", async () => {
    await using readers = new AsyncDisposableStack();
    const nodes = await Promise.all(cluster.nodes.map(async ({ url }) => readers.use(await connect("operator", url))));
    const all = ids(600);
    let missed = 0;
    const queue = all.values();
    const worker = async () => {
      for (const id of queue) {
        const stored = await writers[1]!.store(outgoing(id, "done"));
        expect(stored.stored).toBe(true);
        const found = await Promise.all(nodes.map((bus) => readLast(bus, OUTCOMES.name, outcomeFilter(address(id)))));
        missed += found.filter((message) => message === undefined).length;
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(missed).toBe(0);
  }, 60_000);

  it("takes 'in flight' (10164) for unknown and tries again: nobody is told that an outcome exists before it does", async () => {
    let inFlight = 0;
    const log = {
      ...silent,
      warn: (fields: { err?: { api_error?: { err_code: number } } }) => {
        if (fields.err?.api_error?.err_code === 10164) inFlight++;
      },
    } as unknown as Logger;
    await using one = await connect("operator", cluster.url, log);
    await using other = await connect("inference", cluster.url, log);
    // Singly: a batch would be tried again as a whole.
    for (let round = 0; round < 50 && inFlight === 0; round++) {
      const all = ids(20);
      await Promise.all(
        all.map(async (id) => {
          const [done, dead] = await Promise.all([
            publishSingle(one, outgoing(id, "done")),
            publishSingle(other, outgoing(id, "dead")),
          ]);
          expect([done, dead].filter(({ stored }) => stored)).toHaveLength(1);
          expect(await readLast(other, OUTCOMES.name, outcomeFilter(address(id)))).toBeDefined();
        }),
      );
    }
    expect(inFlight).toBeGreaterThan(0);
  }, 60_000);
});

describe("what an acknowledgement means", () => {
  it.each([
    [true, "fsync"],
    [false, "replicated"],
  ] as const)(
    "on three nodes that write through (%s) is %s",
    async (syncAlways, durability) => {
      await using cluster = await natsCluster({ syncAlways });
      const password = cluster.passwordOf("system");
      await using system = await connectBus({ url: cluster.url, user: "system", password, log: silent });
      const facts = await readSyncAlways(system);
      expect(facts).toEqual({ syncAlways, servers: 3 });
      expect(durabilityOf({ ...facts, replicas: 3 })).toBe(durability);
    },
    60_000,
  );
});
