import {
  canonicalBytes,
  type DeadLetterDecision,
  DeadLetterDiscarded,
  DeadLetterRedriven,
  type DeadOutcome,
  deadLetterSubject,
  type EncodedBody,
  outcomeId,
  PREVIOUS_MAX,
  type PreviousAttempt,
  problem,
  type RedriveDecision,
  type Result,
} from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { readDeadLetterPayload, readDecision, type StoredDeadLetter } from "./dead-letters.ts";
import { attemptOf, publishRequest } from "./requests.ts";
import { readLastOutcome, readLastRequest } from "./settled-outcome.ts";

/**
 * Two steps, each stored by compare-and-set, so that they can be taken again from wherever they were left: the decision
 * takes the dead letter's one place in EVENTS, then the new request follows from the decision.
 */

/**
 * Writes a decision into its dead letter's place; answers the one that stands there, this or an earlier one.
 * @throws StorageFullError, UnconfirmedError
 */
export async function decideDeadLetter(
  bus: Bus,
  { address, envelope }: StoredDeadLetter,
  decision: DeadLetterDecision,
): Promise<{ stands: DeadLetterDecision; repeated: boolean }> {
  const subject = deadLetterSubject(address, decision.attempt);
  const { type } = decision.decision === "redriven" ? DeadLetterRedriven : DeadLetterDiscarded;
  const stored = await bus.store({
    subject,
    exclusive: subject,
    body: canonicalBytes(decision),
    envelope: {
      // One per dead letter, like its place: the audit ledger takes it once.
      id: `${outcomeId(address.id, decision.attempt)}:dead-letter`,
      type,
      source: `/millrace/${bus.user}`,
      subject,
      time: decision.at,
      datacontenttype: "application/json",
      correlationid: envelope.correlationid,
      principal: decision.principal,
      ...(envelope.traceparent === undefined ? {} : { traceparent: envelope.traceparent }),
    },
  });
  if (stored.stored) return { stands: decision, repeated: false };
  const stands = await readDecision(bus, address, decision.attempt);
  // Events are retained for longer than dead letters; one that was refused for being there is there.
  if (!stands) throw new Error(`${subject} was taken, and is empty`);
  return { stands, repeated: true };
}

/** `request_sequence` is absent when the attempt has its outcome already. */
export type Redriven = { request_sequence?: number; repeated: boolean };

/** The last request of an id may change under us (retention, a request put into its queue again) so many times. */
const TRIES = 3;

/**
 * Stores the request that a decision to redrive asks for, from the decision and the dead letter alone: whoever decided
 * calls this, and so may anybody who finds that it did not come to that. Any number of calls make one request.
 * @throws StorageFullError, UnconfirmedError, NatsError when no server answers in time
 */
export async function completeRedrive(bus: Bus, decision: RedriveDecision): Promise<Result<Redriven>> {
  const outcome = await readLastOutcome(bus, decision);
  if (!outcome) return problem("unknown-dead-letter", `request ${decision.id} has no outcome any more`);
  // An outcome behind the dead letter is this attempt's or a later one's: a request was there, and may be gone again.
  if (outcome.sequence > decision.dead_letter_sequence) return { ok: true, value: { repeated: true } };
  const { record, envelope, replyTo } = outcome;
  if (record.state !== "dead" || outcome.sequence !== decision.dead_letter_sequence)
    return problem("unknown-dead-letter", `no dead letter of ${decision.id} is at ${decision.dead_letter_sequence}`);
  const body = payloadOf(decision) ?? (await readDeadLetterPayload(bus, record));
  if (!body) return problem("payload-gone", `the payload of ${decision.id} is not retained any more`);

  let after = decision.after_sequence;
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const accepted = await publishRequest(bus, {
      tenant: decision.tenant,
      project: decision.project,
      model: decision.model,
      id: decision.id,
      priority: decision.priority,
      body,
      rows: decision.rows,
      modelVersion: decision.model_version,
      modelDigest: decision.model_digest,
      correlationId: envelope.correlationid,
      // Whose request it is does not change with who redrives it; that is in the decision.
      ...(record.request.principal === undefined ? {} : { principal: record.request.principal }),
      ...(envelope.traceparent === undefined ? {} : { traceparent: envelope.traceparent }),
      ...(replyTo === undefined ? {} : { replyTo }), // who asked gets the new outcome, too
      redrive: {
        attempt: decision.next_attempt,
        answers: decision.dead_letter_sequence,
        after,
        previous: historyOf(record, outcome.sequence),
        ...(decision.original_digest === undefined ? {} : { originalDigest: decision.original_digest }),
      },
    });
    if (accepted.kind === "accepted")
      return { ok: true, value: { request_sequence: accepted.sequence, repeated: accepted.repeated } };
    const last = await readLastRequest(bus, decision);
    if (last && attemptOf(last) >= decision.next_attempt) break;
    // The decision is this attempt's only one, and its request is not there: it goes behind whatever is.
    after = last?.sequence ?? 0;
  }
  return problem("dead-letter-decided", `another request stands where attempt ${decision.next_attempt} belongs`);
}

function payloadOf({ payload }: RedriveDecision): EncodedBody | undefined {
  if (!payload) return undefined;
  const bytes = Buffer.from(payload.base64, "base64");
  return payload.header_length === undefined ? { bytes } : { bytes, headerLength: payload.header_length };
}

/** The attempts before the next one: those that the dead letter names, and itself. */
function historyOf(record: DeadOutcome, sequence: number): PreviousAttempt[] {
  const { attempt, reason, completed_at, request } = record;
  const died = { attempt, sequence, code: reason.code, completed_at, digest: request.digest };
  return [...(record.previous ?? []), died].slice(-PREVIOUS_MAX);
}
