import { setTimeout as sleep } from "node:timers/promises";

/** Asks until the answer is yes. @throws when it is not in time */
export async function poll(
  ask: () => Promise<boolean>,
  { within_ms, every_ms }: { within_ms: number; every_ms: number },
): Promise<void> {
  const deadline = performance.now() + within_ms;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`not so within ${within_ms} ms: ${ask}`);
    await sleep(every_ms);
  }
}
