/** How long to wait before the next model process starts, after `failures` in a row that computed nothing between. */
export const restartDelay = (failures: number): number =>
  DELAYS_MS[Math.min(Math.max(failures - 1, 0), DELAYS_MS.length - 1)]!;

/** The first comes at once: most deaths are single ones, and its requests are waiting. The last repeats. */
const DELAYS_MS = [0, 100, 500, 2_000, 5_000] as const;
