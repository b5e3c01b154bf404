/**
 * What a broken link asks for: wait and try the same messages again, never pass them over. While a batch is held, its
 * slot stays taken, so the consumer stops pulling by itself; nothing is nak'ed and nothing overtakes by more than the
 * batches under way.
 */
export const HOLD_DELAYS_MS = [250, 500, 1_000, 2_000, 5_000, 10_000, 15_000] as const;

/** Delay before try `attempt + 1`; the last one repeats, as long as the service lives. */
export const holdDelay = (attempt: number): number =>
  HOLD_DELAYS_MS[Math.min(attempt, HOLD_DELAYS_MS.length) - 1] as number;
