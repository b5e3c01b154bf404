/** Before the next try, in milliseconds, by how many failed in a row; the last one repeats for as long as the service lives. */
export type Delays = readonly [number, ...number[]];

/** While something is away that comes back by itself: the link to Service Bus, or whoever takes requests. */
export const AWAY: Delays = [250, 500, 1_000, 2_000, 5_000, 10_000, 15_000];

/** The delay behind the failure `failures`, from 1. */
export const delayBehind = (delays: Delays, failures: number): number => delays[Math.min(failures, delays.length) - 1]!;
