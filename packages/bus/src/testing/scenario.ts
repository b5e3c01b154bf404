import fc from "fast-check";
import type { Faults } from "./faults.ts";

/** Everything that a run depends on. The same scenario is the same run, to the last step. */
export type Scenario = {
  seed: number;
  /** Requests, and replicas of the service that is looked at. */
  jobs: number;
  replicas: number;
  /** How much a replica takes at once. */
  batch_max: number;
  concurrency: number;
  /** So many messages that wait to be stored are committed as one. */
  batch_min: number;
  /** Broker of three nodes. */
  replicated: boolean;
  /** So many processes die, each within `fuse_max` steps of its start. */
  deaths: number;
  fuse_max: number;
  /** Of the rest: how often, at any time, to anyone. */
  kills: number;
  stops: number;
  pauses: number;
  cuts: number;
  restarts: number;
  clock_jumps: number;
  full_times: number;
  faults: Faults;
};

/** Mostly nothing, sometimes a little, seldom a lot: what hides behind one fault shows when others are absent. */
const chance = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constantFrom(0.02, 0.1) },
  { weight: 1, arbitrary: fc.constant(0.35) },
);
const few = (max: number) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.integer({ min: 1, max }) });

/** Scenarios, from a quiet day to a very bad one. Shrinks towards the quiet day. */
export const scenarios: fc.Arbitrary<Scenario> = fc.record({
  seed: fc.noShrink(fc.nat(2 ** 31 - 1)),
  jobs: fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 6 }) },
    { weight: 1, arbitrary: fc.integer({ min: 7, max: 24 }) },
  ),
  replicas: fc.integer({ min: 1, max: 3 }),
  batch_max: fc.integer({ min: 1, max: 8 }),
  concurrency: fc.integer({ min: 1, max: 3 }),
  batch_min: fc.constantFrom(8, 2, 3),
  replicated: fc.boolean(),
  deaths: fc.integer({ min: 0, max: 6 }),
  fuse_max: fc.constantFrom(20, 60, 200),
  kills: few(3),
  stops: few(2),
  pauses: few(2),
  cuts: few(2),
  restarts: few(2),
  clock_jumps: few(2),
  full_times: few(2),
  faults: fc.record({
    latency_ms: fc.constantFrom(1, 5, 50),
    lost_publish: chance,
    lost_puback: chance,
    lost_ack: chance,
    lost_delivery: chance,
    duplicated: chance,
    reordered: chance,
    full: chance,
    lost_proposal: chance,
    stale_ms: fc.constantFrom(0, 0, 20, 200),
  }),
});

export type RunOptions = {
  /** In `npm test`; `MILLRACE_SIMULATION_RUNS` stands instead. */
  runs: number;
};

/**
 * Runs a property over many scenarios. Without settings it always runs the same ones, so that a change that breaks
 * something is what fails; `MILLRACE_SIMULATION_SEED` (a number, or `random`) chooses others and
 * `MILLRACE_SIMULATION_RUNS` says how many. A failure prints the scenario, shrunk; `MILLRACE_SIMULATION_SCENARIO` with
 * that JSON runs only this one.
 */
export async function forScenarios(property: (scenario: Scenario) => Promise<unknown>, { runs }: RunOptions) {
  const { MILLRACE_SIMULATION_RUNS, MILLRACE_SIMULATION_SEED, MILLRACE_SIMULATION_SCENARIO } = process.env;
  if (MILLRACE_SIMULATION_SCENARIO) {
    await property(JSON.parse(MILLRACE_SIMULATION_SCENARIO) as Scenario);
    return;
  }
  const seed = seedOf(MILLRACE_SIMULATION_SEED);
  const numRuns = Number(MILLRACE_SIMULATION_RUNS ?? runs);
  await fc.assert(
    fc.asyncProperty(scenarios, async (scenario) => void (await property(scenario))),
    { seed, numRuns },
  );
}

const FIXED_SEED = 20_261_121;

function seedOf(setting: string | undefined): number {
  if (setting === undefined) return FIXED_SEED;
  const seed = setting === "random" ? Math.floor(Math.random() * 2 ** 31) : Number(setting);
  console.info(`simulation seed ${seed} (repeat with MILLRACE_SIMULATION_SEED=${seed})`);
  return seed;
}
