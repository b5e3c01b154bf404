import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./random.ts";

export type ChaosOptions = {
  random: Random;
  /** Each is killed once, in a random order. */
  victims: readonly string[];
  /** Bounds of the pause before each kill. */
  pause_ms: readonly [min: number, max: number];
  /** Kills it, and answers once it is back. */
  kill: (victim: string) => Promise<unknown>;
};

/** Kills every victim once at seeded times, one after the other has come back. Resolves after the last. */
export async function chaos({ random, victims, pause_ms: [min, max], kill }: ChaosOptions): Promise<void> {
  for (const victim of random.shuffled(victims)) {
    await sleep(random.integer(min, max));
    console.info(`chaos: SIGKILL ${victim}`);
    await kill(victim);
  }
}
