import { randomInt } from "node:crypto";
import { seeded } from "@millrace/contracts/testing";

/** Numbers that look random and are the same for the same seed. */
export type Random = {
  readonly seed: number;
  /** From 0 to below 1. */
  next(): number;
  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number;
  /** The elements in another order. */
  shuffled<T>(values: readonly T[]): T[];
};

/**
 * Prints its seed to standard error, so that a failure can be repeated: `MILLRACE_SEED=<seed>`.
 * @param seed when given, nothing is random about it
 */
export function seededRandom(seed = Number(process.env.MILLRACE_SEED ?? randomInt(2 ** 31))): Random {
  console.error(`seed ${seed} (repeat with MILLRACE_SEED=${seed})`);
  const next = seeded(seed);
  const integer = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    seed,
    next,
    integer,
    shuffled(values) {
      const order = [...values];
      for (let last = order.length - 1; last > 0; last--) {
        const other = integer(0, last);
        [order[last], order[other]] = [order[other]!, order[last]!];
      }
      return order;
    },
  };
}
