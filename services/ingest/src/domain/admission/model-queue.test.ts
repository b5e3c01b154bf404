import { seeded } from "@millrace/contracts/testing";
import { describe, expect, it } from "vitest";
import { acknowledgedBetween, LANES_MAX, type LaneState, ModelQueue } from "./model-queue.ts";
import { type Attempt, simulate } from "./testing/simulated-queue.ts";

const steady = (perSecond: number) => () => perSecond;

/** How long each accepted request really waited. */
const waits = (attempts: readonly Attempt[]) =>
  attempts.flatMap(({ stored }) => (stored?.done === undefined ? [] : [stored.done - stored.arrived]));

/** For each refusal: what `Retry-After` said by how long it really took until the same lane was accepted again. */
function accuracy(attempts: readonly Attempt[]): number[] {
  const ratios: number[] = [];
  const open = new Map<string, Attempt[]>();
  for (const attempt of attempts) {
    const lane = `${attempt.tenant}.${attempt.priority}`;
    if (attempt.refusal) open.set(lane, [...(open.get(lane) ?? []), attempt]);
    else {
      // The first refusal of a stretch: its wait is the longest, and the one that a client is likeliest to be told.
      const [first] = open.get(lane) ?? [];
      if (first) ratios.push(first.refusal!.retry_after_s! / (attempt.at - first.at));
      open.delete(lane);
    }
  }
  return ratios;
}

const codes = (attempts: readonly Attempt[]) => new Set(attempts.flatMap(({ refusal }) => refusal?.code ?? []));

describe("over time", () => {
  it("a flood is taken up to the limit: nobody waits longer, the model is never idle, Retry-After comes true", () => {
    const { attempts, summaries } = simulate({
      wait_max_s: 120,
      seconds: 500,
      capacity: steady(100),
      submitters: [{ tenant: "a", rate: steady(300) }],
      random: seeded(1),
    });
    const waited = waits(attempts);
    expect(Math.max(...waited)).toBeLessThan(123);
    expect(waited.length).toBeGreaterThan(49_500); // 500 s of 100/s
    expect(codes(attempts)).toEqual(new Set(["overloaded"]));
    expect(summaries.at(-1)!.perSecond).toBeCloseTo(100, -1);
    const ratios = accuracy(attempts);
    expect(ratios.length).toBeGreaterThan(20);
    for (const ratio of ratios) expect(ratio).toBeGreaterThan(0.7);
    for (const ratio of ratios) expect(ratio).toBeLessThan(1.3);
  });

  it("a tenant that floods is told so, and another one within its share never notices", () => {
    const { attempts } = simulate({
      wait_max_s: 60,
      seconds: 300,
      capacity: steady(100),
      submitters: [
        { tenant: "flood", rate: steady(300) },
        { tenant: "calm", rate: steady(30) },
      ],
      random: seeded(2),
    });
    const of = (tenant: string) => attempts.filter((attempt) => attempt.tenant === tenant);
    expect(codes(of("calm"))).toEqual(new Set());
    expect(Math.max(...waits(of("calm")))).toBeLessThan(1);
    expect(codes(of("flood"))).toContain("tenant-over-share");
    // Its own limit, although it has 70/s of the 100/s that it would have alone.
    expect(Math.max(...waits(of("flood")))).toBeLessThan(63);
    expect(waits(of("flood")).length).toBeGreaterThan(0.97 * 70 * 240);
  });

  it("priorities: a flood at low does not delay high, and low is not starved by a flood at high", () => {
    const { attempts } = simulate({
      wait_max_s: 30,
      seconds: 400,
      capacity: steady(105),
      submitters: [
        { tenant: "a", priority: "high", rate: steady(300) },
        { tenant: "a", priority: "normal", rate: steady(300) },
        { tenant: "b", priority: "low", rate: (now) => (now < 20 ? 0 : 300) },
      ],
      random: seeded(3),
    });
    const done = (priority: string) => waits(attempts.filter((attempt) => attempt.priority === priority));
    for (const priority of ["high", "normal", "low"]) expect(Math.max(...done(priority))).toBeLessThan(33);
    expect(done("high").length / done("low").length).toBeGreaterThan(12);
    expect(done("low").length).toBeGreaterThan(0.8 * 5 * 350);
  });

  it("a restart of the workers for four seconds changes the estimate by a quarter at most, and refuses nobody", () => {
    const down = (now: number) => now > 100 && now < 104;
    const { attempts, summaries } = simulate({
      wait_max_s: 60,
      seconds: 160,
      capacity: (now) => (down(now) ? 0 : 100),
      submitters: [{ tenant: "a", rate: (now) => (now < 40 ? 200 : 100) }],
      random: seeded(4),
      killed_s: 100,
    });
    expect(codes(attempts)).toEqual(new Set());
    const during = summaries.filter(({ at }) => at > 95).map(({ perSecond }) => perSecond!);
    expect(Math.min(...during)).toBeGreaterThan(70);
    expect(Math.max(...during)).toBeLessThan(120);
  });

  it("a model that stands is refused once it has stood as long as a request may wait, and taken when it moves", () => {
    const { attempts } = simulate({
      wait_max_s: 30,
      seconds: 200,
      capacity: (now) => (now > 50 && now < 120 ? 0 : 100),
      submitters: [{ tenant: "a", rate: steady(10) }],
      random: seeded(5),
    });
    const refused = attempts.filter(({ refusal }) => refusal).map(({ at }) => at);
    expect(codes(attempts)).toEqual(new Set(["overloaded"]));
    expect(Math.min(...refused)).toBeGreaterThan(75);
    expect(Math.min(...refused)).toBeLessThan(85);
    expect(Math.max(...refused)).toBeLessThan(124);
  });

  it("when workers go or come, the estimate follows within half a minute", () => {
    const { attempts, summaries } = simulate({
      wait_max_s: 60,
      seconds: 400,
      capacity: (now) => (now < 150 ? 200 : now < 270 ? 100 : 300),
      submitters: [{ tenant: "a", rate: steady(400) }],
      random: seeded(6),
    });
    const rate = (at: number) => summaries.find((summary) => summary.at >= at)!.perSecond!;
    expect(rate(149) / 200).toBeCloseTo(1, 1);
    expect(rate(180) / 100).toBeCloseTo(1.05, 0.7);
    expect(rate(300) / 300).toBeCloseTo(0.95, 0.7);
    // Who was accepted just before the workers went waits twice as long; nobody after them does.
    const late = attempts.filter(({ at }) => at > 260);
    expect(Math.max(...waits(late))).toBeLessThan(70);
  });

  it("two replicas that do not know of each other overshoot by no more than a second of what comes", () => {
    const { attempts } = simulate({
      wait_max_s: 20,
      seconds: 200,
      capacity: steady(100),
      submitters: [{ tenant: "a", rate: steady(400) }],
      random: seeded(7),
      replicas: 2,
    });
    expect(Math.max(...waits(attempts.filter(({ at }) => at > 30)))).toBeLessThan(20 + 400 / 100 + 1);
  });
});

describe("one decision", () => {
  const state = (waiting: number, gone: number): LaneState => ({
    pending: waiting,
    underWay: 0,
    redelivered: 0,
    delivered: gone,
  });
  /** A model that does 100/s, with so many waiting in the lanes `<tenant>.<priority>`. */
  function queueOf(backlogs: Record<string, number>, wait_max_s = 10, random = () => 0): ModelQueue {
    const queue = new ModelQueue({ model: "m", wait_max_s, random });
    const lanes = Object.entries(backlogs).map(([key, waiting]) => {
      const [tenant, priority] = key.split(".") as [string, "high" | "normal" | "low"];
      return [queue.lane(tenant, priority)!, waiting] as const;
    });
    for (const gone of [-100, 0, 100])
      queue.look(gone / 100, new Map(lanes.map(([lane, waiting], i) => [lane, state(waiting, i === 0 ? gone : 0)])));
    return queue;
  }
  const code = (
    queue: ModelQueue,
    tenant: string,
    priority: "high" | "normal" | "low" = "normal",
    deadline_ms?: number,
  ) => queue.refusal({ tenant, priority, deadline_ms }, 0)?.code;

  it.each<[string, Record<string, number>, string, string | undefined]>([
    ["nothing waits", { "a.normal": 0 }, "a", undefined],
    ["within the limit", { "a.normal": 900 }, "a", undefined],
    ["alone and over it", { "a.normal": 1_100 }, "a", "overloaded"],
    ["over its share while another is within", { "a.normal": 1_100, "b.normal": 10 }, "a", "tenant-over-share"],
    ["within it while another is over", { "a.normal": 1_100, "b.normal": 10 }, "b", undefined],
    ["one who was not there before, while another is over", { "a.normal": 1_100, "c.normal": 0 }, "c", undefined],
    ["one whose consumer is not there yet", { "a.normal": 1_100, "c.normal": 0 }, "d", undefined],
    ["both over", { "a.normal": 1_100, "b.normal": 1_100 }, "a", "overloaded"],
    ["over, and the other one is only ahead by its priority", { "a.normal": 1_100, "b.high": 10 }, "a", "overloaded"],
    ["over, and the other one has a lower priority", { "a.normal": 1_100, "b.low": 10 }, "a", "tenant-over-share"],
  ])("%s", (_what, backlogs, tenant, expected) => {
    expect(code(queueOf(backlogs), tenant)).toBe(expected);
  });

  it("takes what fits into the next run, however slow a few requests were while workers were killed", () => {
    const slowed = (requests: number, run?: { rows_max: number; timeout_s: number }) => {
      const queue = new ModelQueue({ model: "m", wait_max_s: 900, random: () => 0, ...(run ? { run } : {}) });
      const lane = queue.lane("a", "normal")!;
      // One request in 100 s, again and again, while others wait: what a worker looks like that never lives long.
      for (let look = 0; look <= 400; look++)
        queue.look(look, new Map([[lane, state(requests, look % 100 === 0 ? look / 100 : Math.floor(look / 100))]]));
      return queue.refusal({ tenant: "a", priority: "normal" }, 0)?.code;
    };
    const run = { rows_max: 512, timeout_s: 5 };
    expect(slowed(60)).toBe("overloaded");
    expect(slowed(60, run)).toBeUndefined();
    expect(slowed(60, { ...run, rows_max: 32 })).toBe("overloaded");
    expect(slowed(200, run)).toBe("overloaded");
  });

  it("counts what this process puts in between looks, and gives no more than there is", () => {
    const queue = queueOf({ "a.normal": 900 });
    let taken = 0;
    while (!queue.admit({ tenant: "a", priority: "normal" }, 0) && taken < 10_000) taken++;
    expect(taken).toBe(100);
  });

  it("tells whom it refuses when the wait will be well below the limit, and spreads them", () => {
    const retry = (random: number) =>
      queueOf({ "a.normal": 3_000 }, 10, () => random).refusal({ tenant: "a", priority: "normal" }, 0)?.retry_after_s;
    // 30 s of work; 9 s is nine tenths of the limit.
    expect([retry(0), retry(0.999)]).toEqual([21, 25]);
  });

  it("refuses what would run after its deadline, and only that", () => {
    const queue = queueOf({ "a.normal": 500 });
    expect(code(queue, "a", "normal", 4_900)).toBe("too-late");
    expect(code(queue, "a", "normal", 5_100)).toBeUndefined();
    for (let i = 0; i < 50; i++) queue.admit({ tenant: "a", priority: "normal" }, 0);
    expect(code(queue, "a", "normal", 5_100)).toBe("too-late");
    expect(code(queue, "a", "normal", 5_600)).toBeUndefined();
    expect(queue.refusal({ tenant: "a", priority: "normal", deadline_ms: 1 }, 0)?.retry_after_s).toBeUndefined();
  });

  it("opens when it said it would, and neither sooner nor later because the estimate trembles", () => {
    const queue = queueOf({ "a.normal": 1_001 }); // 10.01 s; nine tenths of the limit are reached 1.01 s later
    const lane = queue.lane("a", "normal")!;
    const at = (now: number, waiting: number) => {
      queue.look(now, new Map([[lane, state(waiting, 100 * now)]]));
      return code(queue, "a");
    };
    expect(code(queue, "a")).toBe("overloaded");
    expect(at(1.5, 880)).toBe("overloaded");
    expect(at(2.02, 970)).toBeUndefined();
  });

  it("opens later when the wait is above the limit by then, and at once when it fell far below", () => {
    const queue = queueOf({ "a.normal": 1_001 });
    const lane = queue.lane("a", "normal")!;
    expect(code(queue, "a")).toBe("overloaded");
    queue.look(2.1, new Map([[lane, state(1_300, 210)]]));
    expect(queue.refusal({ tenant: "a", priority: "normal" }, 0)).toMatchObject({
      code: "overloaded",
      retry_after_s: 3,
    });
    queue.look(2.2, new Map([[lane, state(400, 1_110)]]));
    expect(code(queue, "a")).toBeUndefined();
  });

  it("knows a bounded number of lanes and takes the rest", () => {
    const queue = queueOf({});
    for (let i = 0; i < LANES_MAX + 10; i++) expect(code(queue, `t${i}`)).toBeUndefined();
    expect(queue.lane("one-more", "normal")).toBeUndefined();
  });
});

describe("acknowledgements between two looks", () => {
  const of = (pending: number, underWay: number, redelivered: number, delivered: number): LaneState => ({
    pending,
    underWay,
    redelivered,
    delivered,
  });
  it.each<[string, LaneState, LaneState, number]>([
    ["what was delivered and is gone", of(100, 10, 0, 50), of(70, 10, 0, 80), 30],
    ["what was under way and is gone", of(0, 10, 0, 50), of(0, 0, 0, 50), 10],
    ["a delivery that is repeated is none", of(100, 64, 0, 64), of(100, 64, 64, 128), 0],
    ["a consumer that was made anew tells nothing", of(0, 0, 0, 5_000), of(100, 10, 0, 10), 0],
  ])("%s", (_what, before, after, expected) => {
    expect(acknowledgedBetween(before, after)).toBe(expected);
  });
});
