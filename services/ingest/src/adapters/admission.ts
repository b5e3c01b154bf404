import { type Bus, type Lanes, readLaneBacklog } from "@millrace/bus";
import type { Lane, Manifest, RunnerKind } from "@millrace/contracts";
import { Gauge, type Registry } from "@millrace/kit";
import { type LaneQueue, type LaneState, ModelQueue } from "../domain/admission/model-queue.ts";
import type { Admission, Models } from "../domain/ports.ts";

const LOOK_MS = 1_000;
/** Consumers asked about at once. */
const LOOKS_AT_ONCE = 32;
const REGISTER_TRIES = 5;

export type AdmissionOptions = {
  models: Models;
  lanes: Lanes;
  /** Longest wait in the queue of a model whose manifest names none. */
  wait_max_s: number;
  metrics: Registry;
};

/**
 * Looks at the backlog of every lane once a second and keeps a model's queue in mind in between. Replicas of ingest do
 * not talk to each other: each sees within a second what the others put in, so together they may overshoot a limit by
 * what comes in during one look.
 */
export function openAdmission(
  bus: Bus,
  { models, lanes, wait_max_s, metrics }: AdmissionOptions,
): Admission & Disposable {
  const queues = new Map<string, ModelQueue>();
  const known = new WeakSet<LaneQueue>();
  let looking = false;
  let closed = false;

  const queueOf = (model: string): ModelQueue => {
    const queue = queues.get(model);
    if (queue) return queue;
    const made = new ModelQueue({ model, wait_max_s, random: Math.random });
    const manifest = models.get(model)?.manifest;
    if (manifest) bound(made, manifest);
    queues.set(model, made);
    return made;
  };
  /** What the manifest says of waits and runs; a new version may say something else. */
  const bound = (of: ModelQueue, { queue, batch, timeout_ms }: Manifest) => {
    of.wait_max_s = queue?.wait_max_s ?? wait_max_s;
    of.run = { rows_max: batch.rows_max, timeout_s: timeout_ms / 1_000 };
  };
  const following = lanes.follow(({ kind, model, tenant, priority }) => {
    const lane = kind === KIND ? queueOf(model).lane(tenant, priority) : undefined;
    if (lane) known.add(lane);
  });

  const look = async (model: string, queue: ModelQueue) => {
    const due = [...queue.due()].values();
    const states = new Map<LaneQueue, LaneState | undefined>();
    const worker = async () => {
      for (const lane of due) {
        lane.mark = lane.finished;
        states.set(lane, await readLaneBacklog(bus, laneOf(model, lane)));
      }
    };
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, worker));
    queue.look(performance.now() / 1_000, states);
  };
  const timer = setInterval(() => {
    if (looking || !bus.connected) return;
    looking = true;
    const all = [...models.all()].map(({ manifest }) => {
      const of = queueOf(manifest.name);
      bound(of, manifest);
      return look(manifest.name, of);
    });
    Promise.all(all)
      .catch((err: unknown) =>
        bus.log.debug({ err }, "the backlogs could not be looked at; going on with the last look"),
      )
      .finally(() => {
        looking = false;
      });
  }, LOOK_MS);
  timer.unref();

  /** Says that the lane exists. When it does not come through, the next request tries again, and the strays' consumer does anyway. */
  const register = async (lane: Lane, queue: LaneQueue) => {
    for (let tries = 1; tries <= REGISTER_TRIES && !closed; tries++) {
      try {
        return await lanes.register(lane);
      } catch (err) {
        bus.log.debug({ err, lane, tries }, "a new lane could not be made known");
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS * tries).unref());
      }
    }
    known.delete(queue);
  };

  meterQueues(queues, metrics);
  return {
    admit: (model, wish) => queueOf(model).admit(wish, Date.now()),
    refusal: (model, wish) => queueOf(model).refusal(wish, Date.now()),
    finished(model, wish, stored) {
      const queue = queueOf(model);
      queue.finished(wish);
      if (!stored) return;
      const lane = queue.lane(wish.tenant, wish.priority);
      if (!lane || known.has(lane)) return;
      known.add(lane);
      void register(laneOf(model, lane), lane);
    },
    [Symbol.dispose]() {
      closed = true;
      clearInterval(timer);
      following[Symbol.dispose]();
    },
  };
}

/** Ingest submits to tensor models. */
const KIND: RunnerKind = "tensor";

const laneOf = (model: string, { priority, tenant }: LaneQueue): Lane => ({ kind: KIND, priority, tenant, model });

/** What is shown of each model's queue. */
export function meterQueues(queues: ReadonlyMap<string, ModelQueue>, metrics: Registry): void {
  const gauge = (name: string, help: string, of: (queue: ModelQueue) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames: ["model"],
      registers: [metrics],
      collect() {
        this.reset();
        for (const [model, queue] of queues) {
          const value = of(queue);
          if (value !== undefined) this.set({ model }, value);
        }
      },
    });
  gauge("millrace_queue_requests", "Requests of a model that wait or are under way", (of) => of.summary().waiting);
  gauge("millrace_queue_drain_rows_per_second", "Rows per second of a busy model", (of) => of.summary().perSecond);
  gauge("millrace_queue_wait_seconds", "Longest wait of a request that came now", (of) => of.summary().wait_s);
}
