import type { Random } from "@millrace/testkit";

/** Whom a fault strikes: a process by name, or whichever node leads a stream at that moment. */
export type Victim = string | { leaderOf: string };

/** One fault, `after_ms` after the one before it. */
export type Fault = { after_ms: number; victim: Victim } & (
  | { kind: "kill" }
  /** SIGTERM: it stops in order, and is started again. */
  | { kind: "restart" }
  /** SIGSTOP, later SIGCONT. */
  | { kind: "pause"; for_ms: number }
  /** Nothing reaches the node: not the other nodes, and with `clients` no client either. */
  | { kind: "cut"; for_ms: number; clients: boolean }
);

export type PlanOptions = {
  random: Random;
  /** What runs, by name. */
  processes: readonly string[];
  kills: number;
  pauses: number;
  restarts: number;
  /** On a cluster: how many of the kills strike the node that leads a stream. */
  leaderKills: number;
  /** On a cluster: how often a node is cut off. */
  cuts: number;
  /** Bounds of the time between two faults. */
  gap_ms: readonly [min: number, max: number];
};

/** Longer than the ack wait (10 s) now and then: what a paused process holds is then delivered to another. */
const PAUSE_MS = [500, 12_000] as const;
/** Long enough for a new leader (4 to 9 s without a heartbeat) and for clients to notice (two pings of 5 s). */
const CUT_MS = [8_000, 18_000] as const;

/** The streams whose leaders are worth a kill: what was asked, and how it ended. */
const LED = ["REQUESTS_TENSOR", "OUTCOMES"] as const;

export const isNode = (name: string): boolean => /^nats-\d$/.test(name);

/**
 * The faults of a run: a pure function of the seed, the names and the numbers. Every process is struck about equally
 * often by each kind, in an order and at times that the seed decides.
 */
export function planFaults(options: PlanOptions): Fault[] {
  const { random, gap_ms } = options;
  const names = [...options.processes].sort();
  const nodes = names.filter(isNode);
  const turns = (from: readonly string[], count: number): string[] => {
    const taken: string[] = [];
    while (from.length > 0 && taken.length < count) taken.push(...random.shuffled(from));
    return taken.slice(0, count);
  };
  const led = (count: number) => turns(LED, count).map((stream): Victim => ({ leaderOf: stream }));
  const struck: readonly FaultWithoutTime[] = random.shuffled([
    ...led(Math.min(options.leaderKills, options.kills)).map((victim) => ({ kind: "kill", victim }) as const),
    ...turns(names, options.kills - options.leaderKills).map((victim) => ({ kind: "kill", victim }) as const),
    ...turns(names, options.restarts).map((victim) => ({ kind: "restart", victim }) as const),
    ...turns(names, options.pauses).map(
      (victim) => ({ kind: "pause", victim, for_ms: random.integer(...PAUSE_MS) }) as const,
    ),
    // Every other one strikes a leader; one in four leaves the node's clients where they are.
    ...turns(nodes, options.cuts).map((node, index) => {
      const victim: Victim = index % 2 === 0 ? { leaderOf: LED[(index / 2) % LED.length]! } : node;
      return { kind: "cut", victim, for_ms: random.integer(...CUT_MS), clients: index % 4 !== 3 } as const;
    }),
  ]);
  return struck.map((fault) => ({ after_ms: random.integer(...gap_ms), ...fault }));
}

type FaultWithoutTime = Fault extends infer Each ? (Each extends Fault ? Omit<Each, "after_ms"> : never) : never;
