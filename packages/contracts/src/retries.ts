/**
 * The retry policy, one table. `delays_ms[n]` precedes the (n+2)-nd try; the last value repeats. JetStream's own
 * `backoff` does not apply to a nak, so every nak passes one of these.
 */
export const RETRIES = {
  /** The broker, the model process or a time-out: our trouble, not the message's. Never gives up by itself. */
  infrastructure: { delays_ms: [250, 1_000, 5_000, 15_000], attempts_max: Number.POSITIVE_INFINITY },
  /** A receiver that answers 5xx, 408, 429, or not at all. Roughly 16 minutes in all, then `delivery-exhausted`. */
  delivery: { delays_ms: [1_000, 5_000, 30_000, 120_000, 300_000, 600_000], attempts_max: 7 },
} as const satisfies Record<string, { delays_ms: readonly number[]; attempts_max: number }>;

export type RetryKind = keyof typeof RETRIES;

/** Delay before the next try after `attempt` (from 1) failed, or undefined when no try is left. */
export function retryDelay(kind: RetryKind, attempt: number): number | undefined {
  const { delays_ms, attempts_max } = RETRIES[kind];
  if (attempt >= attempts_max) return undefined;
  return delays_ms[Math.min(attempt, delays_ms.length) - 1];
}
