import { FadingRate } from "./averages.ts";

/** A stretch without progress up to this long is a long run, or a restart, and no standstill yet. */
const PATIENCE_S = 5;
/**
 * A stretch counts up to so many times the usual one: a model that acknowledges every second does not become slower by
 * a restart of five, one that always takes eight for a run is measured by the eight. 95 % of what a model does that
 * acknowledges one by one, at random, is within three.
 */
const STRETCHES = 3;
/** Part of each stretch in what is usual. */
const NEW = 0.2;

/**
 * How fast a model's queue is worked off, learnt from looks at it.
 *
 * Only a busy model shows what it can do: while less was acknowledged between two looks than had been waiting at the
 * first, the queue never ran empty. A look that emptied it shows a lower bound, which counts when it is above what was
 * believed. While nothing moves the rate is kept and the standstill is measured instead: see {@link standing_s}.
 */
export class Drain {
  readonly #rate: FadingRate;
  /** Begin of the stretch without progress, in seconds of the caller's clock; undefined while nothing waits. */
  #since: number | undefined;
  /** Seconds from one progress to the next. */
  #usual_s: number | undefined;
  #waiting = 0;
  #now = 0;

  /** @param tau_s time constant of the average */
  constructor(tau_s: number) {
    this.#rate = new FadingRate(tau_s);
  }

  /** What a look at `now` (seconds, monotonic) showed: how many wait, how many were acknowledged since the last look. */
  look(now: number, { waiting, acknowledged }: { waiting: number; acknowledged: number }): void {
    const before = this.#waiting;
    if (acknowledged > 0 && this.#since !== undefined) {
      const stretch = now - this.#since;
      // The first progress says when the model began, and not how fast it is: workers may just have been started.
      const begins = this.#usual_s === undefined;
      this.#usual_s ??= stretch;
      const seconds = Math.min(stretch, STRETCHES * this.#usual_s);
      this.#usual_s += NEW * (seconds - this.#usual_s);
      const believed = this.#rate.perSecond;
      const busy = acknowledged < before;
      const more = believed !== undefined && acknowledged / seconds > believed;
      if (!begins && (busy || more)) this.#rate.add(acknowledged, seconds);
    }
    if (waiting === 0) this.#since = undefined;
    else if (acknowledged > 0 || this.#since === undefined) this.#since = now;
    this.#waiting = waiting;
    this.#now = now;
  }

  /** Requests per second of a busy model; undefined while none was ever seen busy, from one progress to the next. */
  get perSecond(): number | undefined {
    return this.#rate.perSecond;
  }

  /**
   * For how long requests have been waiting without any progress; 0 while there is some. Nobody knows how long a
   * standstill will last; the best guess without further knowledge is as long again as it has lasted.
   */
  get standing_s(): number {
    const stretch = this.#since === undefined ? 0 : this.#now - this.#since;
    return stretch > PATIENCE_S ? stretch : 0;
  }
}
