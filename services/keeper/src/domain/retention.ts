/**
 * What retention may remove. Pure. Everything else follows from keeping this order: a request goes before its outcome,
 * a delivery before the outcome that it delivered, and a decision after the dead letter that it decided, so that no
 * message that is retained speaks of one that should be there and is not.
 */

/** How long settled messages stay, in milliseconds. */
export type RetentionTimes = { requests_ms: number; outcomes_ms: number; events_ms: number };

export type Verdict = { retire: true } | { retire: false; why: Kept };
/** Why a message stays although its time is over. */
export type Kept =
  /** A consumer has not acknowledged it. */
  | "unacknowledged"
  /** It has no outcome yet. */
  | "pending"
  /** A dead letter that nobody has decided about names it as its payload. */
  | "open-dead-letter"
  /** It was decided that it runs again, and the new request is not stored yet. */
  | "unfinished-redrive"
  /** A request of the id is retained. */
  | "request-retained"
  /** A delivery of it is retained. */
  | "delivery-retained"
  /** The outcome it speaks of is retained. */
  | "outcome-retained";

const retire: Verdict = { retire: true };
const keep = (why: Kept): Verdict => ({ retire: false, why });

/** What is known of the id of a request. */
export type RequestFacts = {
  /** Of this request. */
  attempt: number;
  /** Of the last request of its id. */
  lastAttempt: number;
  /** The id's last outcome. */
  outcome?: { attempt: number; state: "done" | "dead"; stored_ms: number };
  /** What was decided about that outcome, if it is a dead letter. */
  decision?: "redriven" | "discarded" | undefined;
};

/**
 * A request may go when its outcome is stored. That of a dead letter is its payload, and stays until somebody has
 * decided and the decision is carried out, or until the dead letter's own time is over.
 */
export function mayRetireRequest(
  { attempt, lastAttempt, outcome, decision }: RequestFacts,
  now_ms: number,
  times: Pick<RetentionTimes, "outcomes_ms">,
): Verdict {
  if (!outcome || outcome.attempt < attempt) return keep("pending");
  if (outcome.state === "done" || decision === "discarded") return retire;
  if (decision === "redriven") return lastAttempt > outcome.attempt ? retire : keep("unfinished-redrive");
  return outcome.stored_ms <= now_ms - times.outcomes_ms ? retire : keep("open-dead-letter");
}

/** An outcome goes last but for decisions: while a request of its id is there, that request needs its answer. */
export function mayRetireOutcome(of: { requestRetained: boolean; deliveryRetained: boolean }): Verdict {
  if (of.requestRetained) return keep("request-retained");
  return of.deliveryRetained ? keep("delivery-retained") : retire;
}

/** A decision about a dead letter stays as long as the dead letter: without it, that would be open again. */
export const mayRetireEvent = (of: { isDecision: boolean; outcomeRetained: boolean }): Verdict =>
  of.isDecision && of.outcomeRetained ? keep("outcome-retained") : retire;
