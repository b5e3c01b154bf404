import { setTimeout as sleep } from "node:timers/promises";

/** Waits, or returns early when the signal aborts. */
export const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  await sleep(ms, undefined, { signal }).catch(() => {});
};
