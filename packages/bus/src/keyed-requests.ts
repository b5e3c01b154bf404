import { digestOf, OUTCOMES, outcomeFilter } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { outcomeIn, type StoredOutcome } from "./outcomes.ts";
import { addressOf } from "./outgoing.ts";
import { readLastDirect } from "./read.ts";
import { type Accepted, acceptedBefore, type NewRequest, publishRequest } from "./requests.ts";

/**
 * Stores a request whose id stands for a client's key. Outcomes are retained for longer than requests: when the request
 * of the key is gone, its outcome still says what the key stands for. So it is looked for first; a request stored beside
 * it would never have an outcome of its own.
 * @throws StorageFullError, UnconfirmedError, NatsError when no server answers in time
 */
export async function publishKeyedRequest(bus: Bus, request: NewRequest): Promise<Accepted> {
  return (await endedBefore(bus, request)) ?? (await publishRequest(bus, request));
}

/** What {@link publishKeyedRequest} would answer to a repeat; undefined when it is none. Stores nothing. */
export async function keyedBefore(bus: Bus, request: NewRequest): Promise<Accepted | undefined> {
  return (await endedBefore(bus, request)) ?? (await acceptedBefore(bus, request));
}

/** Asked of any replica: an outcome of a moment ago may be missed, because its request is still there. */
async function endedBefore(bus: Bus, request: NewRequest): Promise<Accepted | undefined> {
  const stored = await readLastDirect(bus, OUTCOMES.name, outcomeFilter(addressOf(request)));
  const outcome = stored && outcomeIn(stored);
  return outcome?.ok ? repeatOf(outcome.value, digestOf(request.body.bytes)) : undefined;
}

/** The key stands for the body of the first attempt, also when a redrive ran another. */
function repeatOf({ record }: StoredOutcome, digest: string): Accepted {
  const { request, previous } = record;
  const original = previous?.[0]?.attempt === 1 ? (previous[0].digest ?? request.digest) : request.digest;
  return original === digest
    ? { kind: "accepted", sequence: request.sequence, digest, repeated: true }
    : { kind: "conflict", digest, existing: original };
}
