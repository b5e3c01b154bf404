import { canonicalBytes, digestOf } from "@millrace/contracts";
import { StorageFullError, UnconfirmedError } from "../publish.ts";
import { type Accepted, type NewRequest, publishRequest } from "../requests.ts";
import { wait } from "../wait.ts";
import { TROUBLE_MS } from "./faults.ts";
import type { Simulation } from "./simulation.ts";

/** A request that somebody makes, perhaps several times: each submission has the same id and a body of its own choice. */
export type Job = { id: string; kind: string; submissions: readonly Uint8Array[] };

export type JobOptions = {
  model: string;
  /** What to ask for, by share: how often each kind occurs. */
  kinds: Readonly<Record<string, number>>;
  /** One of this kind first. */
  first?: string;
  /** The body for a kind; `variant` tells bodies of one job apart. */
  body: (job: { id: string; kind: string; index: number; variant: number }) => Uint8Array;
};

export const TENANT = "acme";
export const PROJECT = "plant";
/** Over which time requests come in. */
const SPREAD_MS = 15_000;
/** Some come when all is over. */
const LATE_MS = TROUBLE_MS + 35_000;
const CLIENTS = 2;

/**
 * Lets clients submit the scenario's jobs through `publishRequest`, with repeats and with other bodies under the same
 * key. A client that gets no answer asks again, as with an HTTP time-out. Checks that the answers agree with the stream.
 */
export function submitJobs(simulation: Simulation, { model, kinds, first, body }: JobOptions): readonly Job[] {
  const { world, books, scenario } = simulation;
  const random = world.random("jobs");
  const lots = Object.entries(kinds).flatMap(([kind, share]) => Array.from({ length: share }, () => kind));
  const jobs = Array.from({ length: scenario.jobs }, (_, index): Job => {
    const kind = index === 0 && first !== undefined ? first : random.pick(lots);
    const id = `${kind}-${index}`;
    const variants = random.chance(0.3) ? [0, random.chance(0.5) ? 1 : 0] : [0];
    return { id, kind, submissions: variants.map((variant) => body({ id, kind, index, variant })) };
  });

  // Some come together, and some of those from one client, so that they are committed together.
  const burst_ms = random.next() * SPREAD_MS;
  const orders = jobs.flatMap((job) =>
    job.submissions.map((bytes) => ({
      job,
      bytes,
      client: random.integer(1, CLIENTS),
      at_ms: random.chance(0.6) ? burst_ms : random.chance(0.2) ? LATE_MS : random.next() * SPREAD_MS,
    })),
  );
  for (let client = 1; client <= CLIENTS; client++) {
    const open = new Set(orders.filter((order) => order.client === client));
    simulation.errand(`client-${client}`, async (bus) => {
      await Promise.all(
        [...open].map(async (order) => {
          const { job, bytes, at_ms } = order;
          await wait(Math.max(0, at_ms - world.now_ms));
          const accepted = await insist(() => publishRequest(bus, requestOf(job.id, model, bytes)));
          if (!world.current()?.alive) return;
          open.delete(order);
          check(job, bytes, accepted);
        }),
      );
    });
  }

  const check = (job: Job, bytes: Uint8Array, accepted: Accepted) => {
    const stands = books.requests.get(job.id)?.[0];
    const digest = digestOf(bytes);
    world.note(`${job.id} is ${accepted.kind}`);
    world.count(accepted.kind === "accepted" && accepted.repeated ? "repeated" : accepted.kind);
    if (!stands) return books.violated(`${job.id} was answered "${accepted.kind}" and is not in the stream`);
    if (accepted.kind === "conflict") {
      if (stands.digest === digest) books.violated(`${job.id}: its own body was called a conflict`);
      if (accepted.existing !== stands.digest)
        books.violated(`${job.id}: the conflict names a digest that is not stored`);
    } else if (stands.digest !== digest) books.violated(`${job.id}: another body was accepted under the same key`);
  };
  return jobs;
}

export const requestOf = (id: string, model: string, bytes: Uint8Array): NewRequest => ({
  tenant: TENANT,
  project: PROJECT,
  model,
  id,
  priority: "normal",
  body: { bytes },
  rows: 1,
  modelVersion: "1",
  modelDigest: digestOf(canonicalBytes(model)),
  correlationId: `c-${id}`,
});

/** Tries again for as long as the answer is that there is none. */
export async function insist<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      const unknown = cause instanceof StorageFullError || cause instanceof UnconfirmedError || isTimeout(cause);
      if (!unknown) throw cause;
      await wait(500);
    }
  }
}

const isTimeout = (cause: unknown) => (cause as { code?: string }).code === "TIMEOUT";
