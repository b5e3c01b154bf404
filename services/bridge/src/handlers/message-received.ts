import type { LockedMessage, OutgoingMessage, SendResult, Settled } from "@millrace/azure";
import type { SubmissionAnswer, SubmissionCall } from "@millrace/bus";
import type { ProblemDocument, ReplyTo, Source } from "@millrace/contracts";
import { answerVerdict } from "../domain/answer-verdict.ts";
import { AWAY, delayBehind } from "../domain/delays.ts";
import { deadLetterText, localProblem, refusalReply } from "../domain/reply-message.ts";
import { type Here, keyOf, requestIn } from "../domain/request-in-message.ts";

/** What becomes of a message: taken off the queue, dead-lettered there, or given back. */
export type Ending = "completed" | "dead-lettered" | "abandoned" | "lock lost" | "unsettled";

export type Surroundings = {
  source: Source;
  here: Pick<Here, "host" | "body_bytes_max">;
  /** Submits through ingest. A throw means that nothing is known. */
  submit(call: SubmissionCall): Promise<SubmissionAnswer>;
  reply(entity: string, message: OutgoingMessage): Promise<SendResult>;
  now(): number;
  wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Aborted when the source is closed: what is held goes back to the entity. */
  signal: AbortSignal;
  /** How long a message is held while it is not its fault; then it is given back, which counts as a delivery. */
  hold_max_ms: number;
  told: {
    received(): void;
    /** Why a message is held; undefined when it is not any more. */
    holding(message: LockedMessage, why: string | undefined): void;
    ended(ending: Ending, facts: { message: LockedMessage; why?: string }): void;
  };
};

type Step =
  | { kind: "complete" }
  | { kind: "dead-letter"; problem: ProblemDocument; note: string }
  | { kind: "later"; why: string; after_ms?: number };

/** Waits are not longer than this, whatever the other side says: the lock may be lost, or the service may stop. */
const WAIT_MAX_MS = 60_000;

/**
 * A message as a request: submitted, then completed, and nothing else is. Refused for what it is, it is answered and
 * dead-lettered. While ingest does not take it for other reasons it is held, locked, and keeps its place, so that
 * receiving stops by itself and no delivery is counted against it.
 */
export const onMessageReceived =
  (around: Surroundings) =>
  async (locked: LockedMessage): Promise<void> => {
    const { now, wait, signal, hold_max_ms, told } = around;
    const began = now();
    told.received();
    for (let tries = 1; ; tries++) {
      const step = await attempt(locked, around);
      if (step.kind !== "later") {
        told.holding(locked, undefined);
        return await settle(locked, step, around);
      }
      const delay_ms = Math.min(WAIT_MAX_MS, Math.max(delayBehind(AWAY, tries), step.after_ms ?? 0));
      told.holding(locked, step.why);
      if (!signal.aborted && now() - began + delay_ms <= hold_max_ms) await wait(delay_ms, signal);
      else return await giveBack(locked, step.why, around);
      if (locked.lost) {
        told.holding(locked, undefined);
        return told.ended("lock lost", { message: locked, why: step.why });
      }
      if (signal.aborted) return await giveBack(locked, step.why, around);
    }
  };

async function attempt({ message }: LockedMessage, around: Surroundings): Promise<Step> {
  const { source, here, submit, now } = around;
  const asked = requestIn(message, { ...here, source, now_ms: now() });
  const { replyTo } = asked;
  if (!asked.ok) return await refuse(localProblem(asked.problem, source), replyTo, keyOf(message, source.name), around);
  let answer: SubmissionAnswer;
  try {
    answer = await submit(asked.call);
  } catch (cause) {
    return { kind: "later", why: (cause as Error).message };
  }
  const verdict = answerVerdict(answer);
  if (verdict.kind === "accepted") return { kind: "complete" };
  if (verdict.kind === "later") return verdict;
  return await refuse(verdict.problem, replyTo, keyOf(message, source.name), around);
}

/** Failures of a reply that are of its entity, or of the reply: trying again would hold up the message for nothing. */
const OF_THE_REPLY: readonly string[] = ["not-found", "unauthorized", "too-large", "refused", "disabled", "full"];

/** Whoever asked learns why, before the message goes to where only operators look. */
async function refuse(
  problem: ProblemDocument,
  to: ReplyTo | undefined,
  key: string,
  { source, reply }: Surroundings,
): Promise<Step> {
  if (!to) return { kind: "dead-letter", problem, note: "" };
  const sent = await reply(to.entity, refusalReply(problem, { to, source, key }));
  if (sent.ok) return { kind: "dead-letter", problem, note: "" };
  if (!OF_THE_REPLY.includes(sent.kind)) return { kind: "later", why: `the refusal cannot be replied: ${sent.why}` };
  return { kind: "dead-letter", problem, note: ` No reply could be sent to "${to.entity}": ${sent.why}` };
}

async function settle(locked: LockedMessage, step: Exclude<Step, { kind: "later" }>, { told }: Surroundings) {
  const ended = (settled: Settled, ending: Ending, why?: string) =>
    settled.ok
      ? told.ended(ending, { message: locked, ...(why === undefined ? {} : { why }) })
      : // It comes again, and is found to be known.
        told.ended("unsettled", { message: locked, why: settled.why });
  if (step.kind === "complete") return ended(await locked.complete(), "completed");
  const { reason, description } = deadLetterText(step.problem);
  ended(
    await locked.deadLetter(reason, description + step.note),
    "dead-lettered",
    `${step.problem.code}: ${step.problem.detail}`,
  );
}

async function giveBack(locked: LockedMessage, why: string, { told }: Surroundings): Promise<void> {
  told.holding(locked, undefined);
  const settled = await locked.abandon();
  if (settled.ok) told.ended("abandoned", { message: locked, why });
  else told.ended("unsettled", { message: locked, why: settled.why });
}
