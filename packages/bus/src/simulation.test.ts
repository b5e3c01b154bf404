/**
 * The real code from a request to its outcome, in a world where everything goes wrong: see testing/README.md.
 */
import { canonicalBytes, REQUEST_STREAM } from "@millrace/contracts";
import { expect, test } from "vitest";
import { readOutcome } from "./outcomes.ts";
import { publishRequest } from "./requests.ts";
import {
  forScenarios,
  insist,
  type Job,
  kindOf,
  plainHandler,
  requestOf,
  runWorkers,
  type Simulation,
  simulate,
  submitJobs,
} from "./testing/index.ts";
import { wait } from "./wait.ts";

const MODEL = "pump";
const TIMEOUT = 600_000;

/** Requests, workers, and two people who redrive the same dead letters. */
const requestsToOutcomes = (kinds: Readonly<Record<string, number>>, first?: string) => (simulation: Simulation) => {
  const jobs = submitJobs(simulation, {
    model: MODEL,
    kinds,
    ...(first === undefined ? {} : { first }),
    body: ({ id, variant }) => canonicalBytes({ id, variant }),
  });
  runWorkers(simulation, MODEL, plainHandler(simulation, MODEL));
  const mended = jobs.filter(({ kind }) => kind === "mended");
  if (mended.length > 0) for (const name of ["anna", "ben"]) redrive(simulation, name, mended);
  simulation.until(() => [...simulation.books.outcomes].every(([id, all]) => all.at(-1)!.record.state === endOf(id)));
};

const endOf = (id: string) => (["bad", "poison"].includes(kindOf(id)) ? "dead" : "done");

function redrive(simulation: Simulation, name: string, jobs: readonly Job[]): void {
  simulation.errand(name, async (bus) => {
    for (const { id } of jobs) {
      for (;;) {
        const outcome = await insist(() => readOutcome(bus, requestOf(id, MODEL, new Uint8Array())));
        if (outcome?.record.state === "done") break;
        if (outcome) {
          const { sequence } = outcome.record.request;
          const stream = REQUEST_STREAM.tensor.name;
          const { data } = await insist(() => bus.jsm.streams.getMessage(stream, { seq: sequence }));
          const redriven = await insist(() =>
            publishRequest(bus, {
              ...requestOf(id, MODEL, data),
              redrive: { attempt: 2, answers: outcome.sequence, after: sequence, previous: [] },
            }),
          );
          if (redriven.kind === "conflict")
            simulation.books.violated(`${name}'s redrive of ${id} is called a conflict`);
        }
        await wait(2_000);
      }
    }
  });
}

const everyday = requestsToOutcomes({ good: 6, bad: 1, mended: 1, flaky: 2 });

/** What a run must come by for the others to mean something. */
const TROUBLE = [
  "death",
  "time-out",
  "delivered again",
  "single stored",
  "single refused 10071",
  "single refused 10077",
  "single refused 10164",
  "batch stored",
  "batch refused 10071",
  "batch refused 10077",
  "batch refused 10164",
  "batch broken off",
  "repeated",
  "conflict",
  "done",
  "model-failed",
];

test("whatever happens, each request has one outcome that counts, and none is acknowledged before it", {
  timeout: TIMEOUT,
}, async () => {
  const seen = new Map<string, number>();
  await forScenarios(
    async (scenario) => {
      for (const [what, count] of (await simulate(scenario, everyday)).counts)
        seen.set(what, (seen.get(what) ?? 0) + count);
    },
    { runs: 1_500 },
  );
  if (process.env.MILLRACE_SIMULATION_SCENARIO === undefined)
    expect(TROUBLE.filter((what) => !seen.has(what))).toEqual([]);
});

test("a request on which every process dies is found by its deliveries, and only it", {
  timeout: TIMEOUT,
}, async () => {
  await forScenarios((scenario) => simulate(scenario, requestsToOutcomes({ good: 1 }, "poison")), { runs: 100 });
});

test("the same scenario is the same run, step by step", { timeout: TIMEOUT }, async () => {
  await forScenarios(
    async (scenario) => {
      const first = await simulate(scenario, everyday);
      expect((await simulate(scenario, everyday)).trace).toBe(first.trace);
    },
    { runs: 25 },
  );
});
