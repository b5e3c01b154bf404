import type { SubmissionAnswer } from "@millrace/bus";
import type { ProblemDocument } from "@millrace/contracts";

/** What an answer of ingest means for the message. */
export type AnswerVerdict =
  /** The request is stored, by this or an earlier submission: the message is done with. */
  | { kind: "accepted" }
  /** The same message would be refused again. */
  | { kind: "refused"; problem: ProblemDocument }
  /** Not the message's fault: the same may be taken later. */
  | { kind: "later"; why: string; after_ms?: number };

/** Statuses of the 400s that say something of us, or of now, and nothing of the message. */
const NOT_THE_MESSAGE: readonly number[] = [401, 403, 408, 429];

export function answerVerdict(answer: SubmissionAnswer): AnswerVerdict {
  if (answer.ok) return { kind: "accepted" };
  const { problem, retry_after_s } = answer;
  if (problem.status < 500 && !NOT_THE_MESSAGE.includes(problem.status)) return { kind: "refused", problem };
  return {
    kind: "later",
    why: `${problem.code}: ${problem.detail}`,
    ...(retry_after_s === undefined ? {} : { after_ms: retry_after_s * 1_000 }),
  };
}
