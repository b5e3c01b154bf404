import { type Problem, problem, retryDelay } from "@millrace/contracts";
import type { Outgoing } from "./outgoing.ts";
import type { Verdict } from "./verdict.ts";

/** What happens to a delivery: messages stored first, then an ack, or a nak with a delay. */
export type Settlement = { emit: readonly Outgoing[]; action: { ack: true } | { nak_ms: number }; outcome: string };

/**
 * Pure: verdict → what happens. A reject becomes a dead letter, which is stored before the original is acked; a retry
 * with no try left becomes a reject.
 */
export function settlement(
  verdict: Verdict,
  delivery: { attempt: number },
  deadLetter: (problem: Problem) => Outgoing | undefined,
): Settlement {
  switch (verdict.kind) {
    case "done":
      return { emit: verdict.emit, action: { ack: true }, outcome: "done" };
    case "reject": {
      const letter = deadLetter(verdict.problem);
      return { emit: letter ? [letter] : [], action: { ack: true }, outcome: verdict.problem.code };
    }
    case "retry": {
      const delay_ms = retryDelay(verdict.retry, delivery.attempt);
      if (delay_ms !== undefined)
        return { emit: [], action: { nak_ms: Math.max(delay_ms, verdict.after_ms ?? 0) }, outcome: "retry" };
      const detail = `gave up after ${delivery.attempt} tries; the last: ${verdict.why}`;
      return settlement(
        { kind: "reject", problem: problem("delivery-exhausted", detail).problem },
        delivery,
        deadLetter,
      );
    }
  }
}
