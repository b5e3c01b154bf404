/** Fair share and priority, on a real nats-server. */
import { consumerName, freshRequestId, OUTCOMES, outcomesOf, requestSubject } from "@millrace/contracts";
import { eventually } from "@millrace/testkit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { answer, flood, laneOf, request, type TestRoom, testRoom } from "./fixtures/room.ts";
import { readOutcome } from "./outcomes.ts";
import { consumeRequests, type RequestConsumerOptions, type RequestDelivery } from "./request-consumer.ts";
import { publishRequest } from "./requests.ts";
import { consumeStrays } from "./strays.ts";
import { wait } from "./wait.ts";

let room: TestRoom;
let model: string;
beforeAll(async () => {
  room = await testRoom();
});
afterAll(() => room?.[Symbol.asyncDispose]());
beforeEach(() => {
  model = `m-${freshRequestId()}`;
});

/** A worker whose handler takes `pace_ms` for a batch, and the requests in the order in which their turn came. */
async function worker(options: Pick<RequestConsumerOptions, "lanes"> & Partial<RequestConsumerOptions>, pace_ms = 5) {
  const turns: RequestDelivery[] = [];
  const bus = await room.as("inference");
  const consumption = await consumeRequests(
    bus,
    { model, batch_max: 32, concurrency: 2, ...options },
    async (requests) => {
      turns.push(...requests);
      await wait(pace_ms);
      return requests.map(() => answer(model));
    },
  );
  return { turns, bus, [Symbol.asyncDispose]: () => consumption[Symbol.asyncDispose]() };
}

const outcomes = async () => {
  const filter = { subjects_filter: outcomesOf({ model }) };
  return Object.keys((await room.operator.jsm.streams.info(OUTCOMES.name, filter)).state.subjects ?? {}).length;
};

const shares = (turns: readonly RequestDelivery[], of: (request: RequestDelivery) => string) => {
  const counts: Record<string, number> = {};
  for (const one of turns) counts[of(one)] = (counts[of(one)] ?? 0) + 1;
  return counts;
};
const priorityOf = (delivery: RequestDelivery) => delivery.asked.request.subject.split(".")[2]!;

describe("lanes", { timeout: 90_000 }, () => {
  test("who publishes by hand for a tenant nobody knows is served, too", async () => {
    await using it = await worker({ lanes: await room.lanes(await room.as("inference")) });
    await using _strays = await consumeStrays(it.bus, {
      isServed: () => true,
      lanes: await room.lanes(it.bus),
    });
    const of = { tenant: "byhand", project: "plant", model, id: freshRequestId() };
    await room.operator.js.publish(requestSubject({ ...of, kind: "tensor", priority: "low" }), "no request");
    const good = request({ model, tenant: "byhand", priority: "high" });
    await publishRequest(room.operator, good);
    const dead = await eventually(async () => {
      const outcome = await readOutcome(room.operator, of);
      expect(outcome).toBeDefined();
      return outcome!;
    });
    expect(dead.record).toMatchObject({ state: "dead", reason: { code: "malformed-message" } });
    await eventually(async () => expect((await readOutcome(room.operator, good))?.record.state).toBe("done"));
  });

  test("a tenant with 20 requests waits for some batches, not for another's 50,000", async () => {
    const busy = { model, tenant: "busy" };
    const quiet = { model, tenant: "quiet" };
    await flood(room.ingest, busy, 50_000);
    const lanes = await room.lanes(room.ingest, laneOf(busy), laneOf(quiet));
    await using it = await worker({ lanes });
    await eventually(() => expect(it.turns.length).toBeGreaterThan(200));
    const before = it.turns.length;
    const ids = await flood(room.ingest, quiet, 20);
    const last = await eventually(
      () => {
        const at = ids.map((id) => it.turns.findIndex((one) => one.id === id));
        expect(at).not.toContain(-1);
        return Math.max(...at);
      },
      { within_ms: 30_000 },
    );
    // Two batches were under way, and the twenty share theirs with as many of the other.
    expect(last - before).toBeLessThan(32 * 12);
    expect(it.turns.length).toBeLessThan(50_000);
  });

  test("while all wait, priorities share 16 : 4 : 1, and low does not starve", async () => {
    const priorities = ["high", "normal", "low"] as const;
    for (const priority of priorities) await flood(room.ingest, { model, priority }, 2_100);
    const lanes = await room.lanes(room.ingest, ...priorities.map((priority) => laneOf({ model, priority })));
    await using it = await worker({ lanes });
    await eventually(() => expect(it.turns.length).toBeGreaterThan(2_500), { within_ms: 30_000 });
    const { high, normal, low } = shares(it.turns.slice(200, 2_300), priorityOf);
    expect(high! / 2_100).toBeCloseTo(16 / 21, 1);
    expect(normal! / 2_100).toBeCloseTo(4 / 21, 1);
    expect(low! / 2_100).toBeGreaterThan(0.5 / 21);
    await eventually(async () => expect(await outcomes()).toBe(6_300), { within_ms: 30_000 });
  });

  test("tenants of one priority share by their weights, over rows", async () => {
    for (const [tenant, rows] of [
      ["one", 1],
      ["three", 1],
      ["bulk", 4],
    ] as const)
      await flood(room.ingest, { model, tenant, rows }, 2_000);
    const lanes = await room.lanes(room.ingest, ...["one", "three", "bulk"].map((tenant) => laneOf({ model, tenant })));
    await using it = await worker({ lanes, tenantWeights: new Map([["three", 3]]) });
    await eventually(() => expect(it.turns.length).toBeGreaterThan(1_500), { within_ms: 30_000 });
    // Of 21 rows: 12.6 are `three`'s, 4.2 each the others', which is one message of `bulk` and four of `one`.
    const { one, three, bulk } = shares(it.turns.slice(100, 1_400), ({ tenant }) => tenant);
    expect(three! / one!).toBeGreaterThan(2.5);
    expect(three! / one!).toBeLessThan(3.5);
    expect(one! / bulk!).toBeGreaterThan(3.3);
    expect(one! / bulk!).toBeLessThan(4.7);
  });

  test("two replicas share a lane, and each request has one outcome", async () => {
    const lanes = await room.lanes(room.ingest, laneOf({ model }));
    await using first = await worker({ lanes });
    await using second = await worker({ lanes });
    await flood(room.ingest, { model }, 3_000);
    await eventually(async () => expect(await outcomes()).toBe(3_000), { within_ms: 30_000 });
    expect(first.turns.length).toBeGreaterThan(500);
    expect(second.turns.length).toBeGreaterThan(500);
    expect(first.turns.length + second.turns.length).toBe(3_000);
  });

  test("a lane that appears is served by every replica within a second", async () => {
    await using _first = await worker({ lanes: await room.lanes(await room.as("inference")) });
    await using _second = await worker({ lanes: await room.lanes(await room.as("inference")) });
    const lanes = await room.lanes(room.ingest);
    await lanes.register(laneOf({ model, tenant: "late" }));
    const asked = request({ model, tenant: "late" });
    const published = performance.now();
    await publishRequest(room.ingest, asked);
    await eventually(async () => expect(await readOutcome(room.ingest, asked)).toBeDefined());
    expect(performance.now() - published).toBeLessThan(1_000);
    await eventually(async () => expect((await room.consumer(consumerName.lane(laneOf(asked)))).num_waiting).toBe(2));
  });

  test("a request whose deadline has passed when its turn comes dies with that reason, and is not run", async () => {
    const late = request({ model, deadline: new Date(Date.now() - 1).toISOString() });
    const early = request({ model, deadline: new Date(Date.now() + 60_000).toISOString() });
    await publishRequest(room.ingest, late);
    await publishRequest(room.ingest, early);
    await using it = await worker({ lanes: await room.lanes(room.ingest, laneOf({ model })) });
    await eventually(async () => expect(await outcomes()).toBe(2));
    expect((await readOutcome(room.ingest, late))?.record).toMatchObject({ reason: { code: "deadline-exceeded" } });
    expect((await readOutcome(room.ingest, early))?.record.state).toBe("done");
    expect(it.turns.map(({ id }) => id)).toEqual([early.id]);
  });
});
