import { OUTCOMES, outcomeFilter, REQUEST_STREAM, type RequestAddress, requestsOf } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { outcomeIn, readOutcome, type StoredOutcome } from "./outcomes.ts";
import { addressOf } from "./outgoing.ts";
import { readLastFromLeader, type StoredMessage } from "./read.ts";
import { attemptOf } from "./requests.ts";

/**
 * The outcome that counts: the last one, unless it is a dead letter whose next attempt is on its way. Undefined while
 * the request is pending or when it is not known.
 *
 * Attempts are compared and not positions: a request that was put into its queue again stands behind its own outcome.
 */
export async function readSettledOutcome(bus: Bus, of: RequestAddress): Promise<StoredOutcome | undefined> {
  const outcome = await readOutcome(bus, of);
  // Only a dead letter can be followed by another attempt.
  if (outcome?.record.state !== "dead") return outcome;
  const request = await readLastRequest(bus, of);
  return request && attemptOf(request) > outcome.record.attempt ? undefined : outcome;
}

/** The last request of an id as the stream's leader knows it; undefined when none is retained. */
export const readLastRequest = (bus: Bus, of: RequestAddress): Promise<StoredMessage | undefined> =>
  readLastFromLeader(bus, REQUEST_STREAM.tensor.name, requestsOf({ kind: "tensor", ...addressOf(of) }));

/** The last outcome of an id as the stream's leader knows it, whether it counts or not. */
export async function readLastOutcome(bus: Bus, of: RequestAddress): Promise<StoredOutcome | undefined> {
  const stored = await readLastFromLeader(bus, OUTCOMES.name, outcomeFilter(of));
  const outcome = stored && outcomeIn(stored);
  return outcome?.ok ? outcome.value : undefined;
}
