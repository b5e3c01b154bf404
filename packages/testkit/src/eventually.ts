import { setTimeout as sleep } from "node:timers/promises";

/**
 * Tries until `attempt` does not throw, and answers what it returned. For what happens soon, but not now.
 * @param options `within_ms` bounds the wait (30 s), `every_ms` is the pause between tries (20 ms)
 * @throws the last try's error, with the time it was given
 */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
  { within_ms = 30_000, every_ms = 20 }: { within_ms?: number; every_ms?: number } = {},
): Promise<T> {
  const deadline = performance.now() + within_ms;
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (performance.now() >= deadline) {
        throw new Error(`not within ${within_ms} ms: ${(cause as Error).message}`, { cause });
      }
    }
    await sleep(every_ms);
  }
}
