import { PRIORITIES, PRIORITY_WEIGHTS, type Priority } from "@millrace/contracts";
import { type LaneQueue, type LaneState, ModelQueue, type Refusal } from "../model-queue.ts";

/**
 * A broker, its workers and ingest replicas in virtual time: requests are served one by one, taking turns among lanes
 * by weight, and every replica looks at the lanes once a second. For tests only.
 */

type Stored = { arrived: number; done?: number };
type SimulatedLane = LaneState & { weight: number; queue: Stored[]; served: number; credit: number };

export type Submitter = {
  tenant: string;
  priority?: Priority;
  /** Requests per second at a time. */
  rate: (now: number) => number;
};

export type Attempt = { at: number; tenant: string; priority: Priority; stored?: Stored; refusal?: Refusal };

/** Seconds of one step. */
const STEP_S = 0.02;
/** Requests that a worker has under way at once. */
const UNDER_WAY = 16;

export function simulate(options: {
  wait_max_s: number;
  seconds: number;
  /** Requests per second that the workers can do at a time. */
  capacity: (now: number) => number;
  submitters: readonly Submitter[];
  random: () => number;
  replicas?: number;
  /** At this time the workers are killed: what was under way is delivered again. */
  killed_s?: number;
}): {
  attempts: Attempt[];
  summaries: { at: number; waiting: number; perSecond: number | undefined; wait_s: number }[];
} {
  const { wait_max_s, random, submitters } = options;
  const replicas = Array.from(
    { length: options.replicas ?? 1 },
    () => new ModelQueue({ model: "m", wait_max_s, random }),
  );
  const lanes = new Map<string, SimulatedLane>();
  for (const { tenant } of submitters)
    for (const priority of PRIORITIES)
      lanes.set(`${tenant}.${priority}`, {
        weight: PRIORITY_WEIGHTS[priority],
        queue: [],
        served: 0,
        pending: 0,
        underWay: 0,
        redelivered: 0,
        delivered: 0,
        credit: 0,
      });
  const laneOf = (of: { tenant: string; priority: Priority }) => lanes.get(`${of.tenant}.${of.priority}`)!;
  const attempts: Attempt[] = [];
  const summaries: ReturnType<typeof simulate>["summaries"] = [];
  let work = 0;

  const steps = Math.round(options.seconds / STEP_S);
  for (let step = 0; step < steps; step++) {
    const now = step * STEP_S;
    for (const { tenant, priority = "normal", rate } of submitters) {
      for (let sent = poisson(rate(now) * STEP_S, random); sent > 0; sent--) {
        const replica = replicas[Math.floor(random() * replicas.length)]!;
        const refusal = replica.admit({ tenant, priority }, now * 1_000);
        const attempt: Attempt = { at: now, tenant, priority };
        if (refusal) attempt.refusal = refusal;
        else {
          attempt.stored = { arrived: now };
          laneOf(attempt).queue.push(attempt.stored);
          laneOf(attempt).pending++;
          replica.finished({ tenant, priority });
        }
        attempts.push(attempt);
      }
    }
    if (options.killed_s !== undefined && Math.abs(now - options.killed_s) < STEP_S / 2) {
      for (const lane of lanes.values()) {
        lane.delivered += lane.underWay; // delivered again, once the ack wait is over
        lane.redelivered = lane.underWay;
      }
    }
    work += options.capacity(now) * STEP_S;
    work = serve(lanes, work, now);
    if (step % Math.round(1 / STEP_S) === 0) {
      for (const [index, replica] of replicas.entries()) {
        const states = new Map<LaneQueue, LaneState>();
        for (const { tenant } of submitters) for (const priority of PRIORITIES) replica.lane(tenant, priority);
        for (const lane of replica.due()) {
          lane.mark = lane.finished;
          const { pending, underWay, delivered, redelivered } = laneOf(lane);
          states.set(lane, { pending, underWay, delivered, redelivered });
        }
        replica.look(now, states);
        if (index === 0) summaries.push({ at: now, ...replica.summary() });
      }
    }
  }
  return { attempts, summaries };
}

/** Does as many requests as the work allows, in turns by weight; answers the work that is left. */
function serve(lanes: ReadonlyMap<string, SimulatedLane>, work: number, now: number): number {
  for (;;) {
    const busy = [...lanes.values()].filter(({ queue, served }) => queue.length > served);
    if (busy.length === 0) return Math.min(work, 1);
    if (work < 1) return work;
    const tenants = (of: SimulatedLane) => busy.filter(({ weight }) => weight === of.weight).length;
    const shares = busy.map((lane) => lane.weight / tenants(lane));
    const total = shares.reduce((sum, share) => sum + share, 0);
    for (const [i, lane] of busy.entries()) lane.credit += shares[i]! / total;
    const next = busy.reduce((best, lane) => (lane.credit > best.credit ? lane : best));
    next.credit -= 1;
    if (next.underWay === 0) deliver(next);
    next.queue[next.served++]!.done = now;
    next.underWay--;
    next.redelivered = Math.max(0, next.redelivered - 1);
    deliver(next);
    work -= 1;
  }
}

/** Hands requests out up to what a worker has under way. */
function deliver(lane: SimulatedLane): void {
  while (lane.underWay < UNDER_WAY && lane.pending > 0) {
    lane.pending--;
    lane.underWay++;
    lane.delivered++;
  }
}

/** Knuth's, for small means. */
function poisson(mean: number, random: () => number): number {
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random(); product > limit; product *= random()) count++;
  return count;
}
