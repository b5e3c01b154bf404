/** Before the next try of a message that is held while requests are not taken; the last one repeats. */
const HOLD_DELAYS_MS = [250, 500, 1_000, 2_000, 5_000, 10_000, 15_000] as const;

/** Delay behind the try `tries`, from 1. */
export const holdDelay = (tries: number): number => HOLD_DELAYS_MS[Math.min(tries, HOLD_DELAYS_MS.length) - 1]!;
