import type { ErrorCode, Problem, RetryKind } from "@millrace/contracts";
import { problem } from "@millrace/contracts";
import type { Outgoing } from "./outgoing.ts";

/**
 * What a handler decides about a delivery. Handlers never ack: {@link settlement} turns the verdict into what happens
 * to the message, so that every retry and dead-letter rule is in one table.
 */
export type Verdict =
  | { kind: "done"; emit: readonly Outgoing[] }
  | { kind: "retry"; retry: RetryKind; why: string; after_ms?: number }
  | { kind: "reject"; problem: Problem };

/** Handled. What it gave is stored before the delivery is acknowledged. */
export const done = (...emit: Outgoing[]): Verdict => ({ kind: "done", emit });
/** Not now: try again by the retry table, and not before `after_ms` if the other side asked for more time. */
export const retry = (kind: RetryKind, why: string, after_ms = 0): Verdict => ({
  kind: "retry",
  retry: kind,
  why,
  ...(after_ms > 0 ? { after_ms } : {}),
});
/** Never: the same input would fail again. */
export const reject = (code: ErrorCode, detail: string, at?: string): Verdict => ({
  kind: "reject",
  problem: problem(code, detail, at).problem,
});
