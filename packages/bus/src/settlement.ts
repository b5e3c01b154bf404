import { type Problem, problem, retryDelay } from "@millrace/contracts";
import type { Outgoing } from "./outgoing.ts";
import type { Verdict } from "./verdict.ts";

/** What happens to a delivery: messages stored first, then the action. */
export type Settlement = { emit: readonly Outgoing[]; action: Action; outcome: string };

export type Action =
  | { kind: "ack" }
  /** Back to the stream, which delivers it again after the delay. */
  | { kind: "nak"; delay_ms: number }
  /** Kept in the process and handled again after the delay: no delivery is spent on our own trouble. */
  | { kind: "hold"; delay_ms: number };

/** How often a delivery was tried, this time included: by its receiver, and in this process. Both from 1. */
export type Tries = { attempt: number; tries: number };

/**
 * Pure: verdict → what happens. A reject becomes a dead letter, which is stored before the original is acked; a retry
 * with no try left becomes a reject.
 */
export function settlement(
  verdict: Verdict,
  { attempt, tries }: Tries,
  deadLetter: (problem: Problem) => Outgoing | undefined,
): Settlement {
  switch (verdict.kind) {
    case "done":
      return { emit: verdict.emit, action: { kind: "ack" }, outcome: "done" };
    case "reject": {
      const letter = deadLetter(verdict.problem);
      return { emit: letter ? [letter] : [], action: { kind: "ack" }, outcome: verdict.problem.code };
    }
    case "retry": {
      const held = verdict.retry === "infrastructure";
      const delay_ms = retryDelay(verdict.retry, held ? tries : attempt);
      if (delay_ms !== undefined)
        return {
          emit: [],
          action: { kind: held ? "hold" : "nak", delay_ms: Math.max(delay_ms, verdict.after_ms ?? 0) },
          outcome: "retry",
        };
      const detail = `gave up after ${attempt} attempts; the last: ${verdict.why}`;
      const exhausted: Verdict = { kind: "reject", problem: problem("delivery-exhausted", detail).problem };
      return settlement(exhausted, { attempt, tries }, deadLetter);
    }
  }
}
