import {
  type DeadLetterDecision,
  type DiscardDecision,
  digestOf,
  type EncodedBody,
  LIMITS,
  type ModelDeployment,
  type Priority,
  parseRequestSubject,
  problem,
  type RedriveDecision,
  type Result,
} from "@millrace/contracts";
import type { RedriveBasis, StoredDeadLetter } from "../ports.ts";
import { fitToModel } from "../submission.ts";

/** What may be decided about a dead letter, from what is known of it. Pure: who, when and what for are passed in. */

/** Who decides, and when (RFC 3339). */
export type Decider = { principal: string; at: string; reason?: string };

/** What a redrive asks for. */
export type RedriveWish = {
  /** Runs instead of the original. */
  payload?: EncodedBody;
  /** As before when absent. */
  priority?: Priority;
};

/**
 * The decision that a dead letter runs again, with its original payload or another. Either has to fit the model as it
 * is deployed now: what a worker would refuse again stays dead, with the reason said at once.
 */
export function redriveDecision(
  deadLetter: StoredDeadLetter,
  basis: RedriveBasis,
  model: ModelDeployment,
  wish: RedriveWish & Decider,
): Result<RedriveDecision> {
  const given = wish.payload ?? basis.payload;
  if (!given)
    return problem(
      "payload-gone",
      `what died of ${deadLetter.address.id} is not at ${deadLetter.record.request.sequence} any more`,
    );
  const fitting = fitToModel(given, model);
  if (!fitting.ok) return wish.payload ? fitting : unfit(fitting.problem, model);
  // An original runs byte for byte; an edited one in the form in which a submission is stored.
  const body = wish.payload ? fitting.value.stored : given;
  const digest = digestOf(body.bytes);
  const edited = digest !== deadLetter.record.request.digest;
  const carried = edited || !basis.payload; // the original need not come along while its stream holds it
  if (carried && body.bytes.byteLength > LIMITS.edited_bytes)
    return problem(
      "body-too-large",
      `the payload is ${body.bytes.byteLength} bytes as it is stored; one that comes with its decision may have ${LIMITS.edited_bytes}`,
    );
  const { manifest } = model;
  return {
    ok: true,
    value: {
      ...decided(deadLetter, wish),
      decision: "redriven",
      ...(wish.reason === undefined ? {} : { reason: wish.reason }),
      priority: wish.priority ?? parseRequestSubject(deadLetter.record.request.subject)?.priority ?? "normal",
      next_attempt: deadLetter.record.attempt + 1,
      after_sequence: basis.after_sequence,
      digest,
      ...(digest === basis.original_digest ? {} : { original_digest: basis.original_digest }),
      rows: fitting.value.rows,
      model_version: manifest.version,
      model_digest: model.digest,
      edited,
      ...(carried ? { payload: payloadOf(body) } : {}),
    },
  };
}

/** The decision that a dead letter stays dead. */
export const discardDecision = (
  deadLetter: StoredDeadLetter,
  decider: Decider & { reason: string },
): DiscardDecision => ({ ...decided(deadLetter, decider), decision: "discarded", reason: decider.reason });

/**
 * Whether the decision that stands is the one that is wished for, so that the same call again completes it: of redrives,
 * the same payload runs. Who decided, why and when may differ; a priority only when it was not asked for.
 */
export function isSameDecision(
  stands: DeadLetterDecision,
  wish: { decision: "discarded" } | { decision: "redriven"; digest: string; priority?: Priority | undefined },
): boolean {
  if (stands.decision === "discarded" || wish.decision === "discarded") return stands.decision === wish.decision;
  return stands.digest === wish.digest && (wish.priority === undefined || wish.priority === stands.priority);
}

/** Why another decision cannot be made. */
export function decidedBefore(stands: DeadLetterDecision) {
  const how = stands.decision === "redriven" && stands.edited ? "redriven with another payload" : stands.decision;
  return problem("dead-letter-decided", `attempt ${stands.attempt} of ${stands.id} was ${how} at ${stands.at}`);
}

const decided = ({ address, sequence, record }: StoredDeadLetter, { principal, at }: Decider) => ({
  ...address,
  attempt: record.attempt,
  dead_letter_sequence: sequence,
  principal,
  at,
});

const payloadOf = ({ bytes, headerLength }: EncodedBody) => ({
  base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"),
  ...(headerLength === undefined ? {} : { header_length: headerLength }),
});

const unfit = (
  { code, detail, at }: { code: Parameters<typeof problem>[0]; detail: string; at?: string },
  { manifest }: ModelDeployment,
) =>
  problem(
    code,
    `the original payload does not fit ${manifest.name} ${manifest.version} and would die again: ${detail}; give another payload`,
    at,
  );
