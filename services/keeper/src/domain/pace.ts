/**
 * Spreads events evenly: so many per second, one after the other. A burst of 500 removals stalls publishers for 100 ms;
 * the same 500 spread over a second do not show. What was missed while the caller was busy is not caught up with.
 */
export class Pace {
  readonly #interval_ms: number;
  #next_ms = Number.NEGATIVE_INFINITY;

  constructor(per_second: number) {
    this.#interval_ms = 1_000 / per_second;
  }

  /** Takes the next turn; answers how long to wait for it. */
  turn(now_ms: number): number {
    this.#next_ms = Math.max(this.#next_ms + this.#interval_ms, now_ms - SLACK_MS);
    return Math.max(0, this.#next_ms - now_ms);
  }
}

/** A timer is at least a millisecond late: so much is caught up with. */
const SLACK_MS = 5;
