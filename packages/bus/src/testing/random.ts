import { seeded } from "@millrace/contracts/testing";

/** Numbers that look random and are the same for the same seed. */
export type Random = {
  /** From 0 to below 1. */
  next(): number;
  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  pick<T>(values: readonly T[]): T;
};

/**
 * Each purpose has a sequence of its own, so that a change in how often one fault is drawn leaves the others as they
 * were: shrinking a failing case then mostly keeps what made it fail.
 */
export function randomOf(seed: number, purpose: string): Random {
  const next = seeded(hashOf(purpose, seed));
  const integer = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    integer,
    chance: (probability) => probability > 0 && next() < probability,
    pick: (values) => values[integer(0, values.length - 1)]!,
  };
}

/** FNV-1a of a string on top of an earlier hash. */
export function hashOf(text: string, start = 0x811c9dc5): number {
  let hash = start >>> 0;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
