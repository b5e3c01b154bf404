import { parseRequestSubject, REQUEST_HEADERS, requestsOf } from "@millrace/contracts";
import { headers, type MsgHdrs, NatsError } from "nats";
import type { Bus } from "./bus.ts";
import { addressOf } from "./outgoing.ts";

/** Where a request stands after it was put into its queue again. */
export type Requeued =
  | { kind: "requeued"; sequence: number; requeues: number }
  /** Another request of the id came behind it, or it is not retained any more: nothing to do. */
  | { kind: "superseded" }
  /** It was put back this often, and was acknowledged without an outcome each time. */
  | { kind: "given-up"; requeues: number };

/** More would hide a worker that acknowledges what it does not answer. */
export const REQUEUES_MAX = 5;

/**
 * Stores a request again, byte for byte, so that its lane's consumer delivers it once more: for a request that was
 * acknowledged and has no outcome. The compare-and-set expects the request itself as the last one of its id, so of two
 * who do this one succeeds, and a redrive that came meanwhile stays in front.
 * @throws NatsError when the broker did not confirm; doing it again is safe
 */
export async function requeueRequest(bus: Bus, stream: string, sequence: number): Promise<Requeued> {
  const stored = await bus.jsm.streams.getMessage(stream, { seq: sequence }).catch(absent);
  if (!stored) return { kind: "superseded" };
  const requeues = Number(stored.header?.get(REQUEST_HEADERS.requeues) || 0) + 1;
  if (requeues > REQUEUES_MAX) return { kind: "given-up", requeues: REQUEUES_MAX };
  const all = copyOf(stored.header);
  all.set(REQUEST_HEADERS.requeuedFrom, String(sequence));
  all.set(REQUEST_HEADERS.requeues, String(requeues));
  all.set("Nats-Expected-Last-Subject-Sequence", String(sequence));
  all.set("Nats-Expected-Last-Subject-Sequence-Subject", exclusiveOf(stored.subject));
  try {
    const ack = await bus.js.publish(stored.subject, stored.data, { headers: all });
    return { kind: "requeued", sequence: ack.seq, requeues };
  } catch (cause) {
    if (cause instanceof NatsError && cause.api_error?.err_code === WRONG_LAST_SEQUENCE) return { kind: "superseded" };
    throw cause;
  }
}

/** The filter that every request of the id is compare-and-set under; a subject that names none stands for itself. */
function exclusiveOf(subject: string): string {
  const of = parseRequestSubject(subject);
  return of ? requestsOf({ kind: of.kind, ...addressOf(of) }) : subject;
}

const WRONG_LAST_SEQUENCE = 10071;

/** Headers of the server's own (`Nats-…`) said how it was stored the first time. */
function copyOf(stored: MsgHdrs | undefined): MsgHdrs {
  const all = headers();
  for (const [name, values] of stored ?? [])
    if (!name.startsWith("Nats-")) for (const value of values) all.append(name, value);
  return all;
}

function absent(cause: unknown): undefined {
  if (cause instanceof NatsError && (cause.code === "404" || cause.api_error?.code === 404)) return undefined;
  throw cause;
}
