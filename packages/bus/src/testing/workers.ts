import { consumerName, problem } from "@millrace/contracts";
import type { Lanes } from "../lanes.ts";
import { consumeRequests, type RequestDelivery, type RequestVerdict } from "../request-consumer.ts";
import { wait } from "../wait.ts";
import { TENANT } from "./requests.ts";
import type { Simulation } from "./simulation.ts";

export type Handle = (requests: readonly RequestDelivery[]) => Promise<readonly RequestVerdict[]>;

/** Replicas of a worker for one model, through `consumeRequests`. */
export function runWorkers(simulation: Simulation, model: string, handle: Handle): void {
  const { replicas, batch_max, concurrency } = simulation.scenario;
  simulation.service("worker", replicas, (bus) =>
    consumeRequests(bus, { model, lanes: oneLane(model), batch_max, concurrency }, handle),
  );
  // From the start, so that nobody believes to be at rest before the first worker runs.
  simulation.until(() => simulation.broker.durable("REQUESTS_TENSOR", laneDurable(model)) !== undefined);
}

const lane = (model: string) => ({ kind: "tensor", priority: "normal", tenant: TENANT, model }) as const;
const laneDurable = (model: string) => consumerName.lane(lane(model));

/** Simulated requests are all of one lane, which is known from the start. */
const oneLane = (model: string): Pick<Lanes, "follow"> => ({
  follow(onLane) {
    onLane(lane(model));
    return { [Symbol.dispose]() {} };
  },
});

/** What {@link plainHandler} makes of a request, by the kind that its id begins with. */
export const KINDS = {
  good: "a result",
  bad: "rejected at every attempt",
  mended: "rejected at the first attempt, a result at the next",
  flaky: "trouble of our own, perhaps very often; then a result",
  poison: "the process dies on it, every time",
} as const;

export const kindOf = (id: string) => id.split("-")[0] as keyof typeof KINDS;

/** A handler without a model. Takes its time, sometimes more than the ack wait. */
export function plainHandler({ world }: Simulation, model: string): Handle {
  const random = world.random("handler");
  const done = doneBy(model);
  /** Failures to come, by id; more than a message may have deliveries. */
  const trouble = new Map<string, number>();
  return async (requests) => {
    await wait(random.chance(0.05) ? 25_000 : random.next() * 200);
    return requests.map((request) => {
      switch (kindOf(request.id)) {
        case "bad":
          return REJECTED;
        case "mended":
          return request.asked.attempt === 1 ? REJECTED : done;
        case "flaky": {
          const left = trouble.get(request.id) ?? random.pick([1, 4, 25]);
          trouble.set(request.id, left - 1);
          if (left <= 0) return done;
          if (random.chance(0.5)) throw new Error("the handler stumbles");
          return { kind: "retry", why: "not now" };
        }
        case "poison":
          world.current()?.kill();
          return done;
        default:
          return done;
      }
    });
  };
}

const REJECTED: RequestVerdict = {
  kind: "reject",
  problem: problem("model-failed", "row 0: does not compute").problem,
};

const doneBy = (model: string): RequestVerdict => ({
  kind: "done",
  binaryOutput: false,
  outcome: {
    model: { name: model, version: "1", digest: `sha256:${"0".repeat(64)}` },
    runtime: { backend: "none", version: "1" },
    timing: { started_at: "2026-11-21T00:00:00.000Z", compute_ms: 1, batch_rows: 1 },
    outputs: [],
  },
});
