/** Something that reached an end: what was asked for at `asked_ms` was there at `arrived_ms` (wall clock). */
export type Arrival = { asked_ms: number; arrived_ms: number };

/**
 * How long after `since_ms` an end had something that was asked for after it: from then on, all that leads to this end
 * works again. Undefined when nothing came.
 */
export function recoveryTime(since_ms: number, arrivals: readonly Arrival[]): number | undefined {
  let first = Number.POSITIVE_INFINITY;
  for (const { asked_ms, arrived_ms } of arrivals) if (asked_ms >= since_ms) first = Math.min(first, arrived_ms);
  return Number.isFinite(first) ? first - since_ms : undefined;
}
