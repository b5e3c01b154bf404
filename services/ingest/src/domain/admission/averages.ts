/**
 * A rate per second whose past fades exponentially (time constant `tau_s`). Samples may cover any time; each counts by
 * what it covers, so the first one is the rate at once and no start value drags along.
 */
export class FadingRate {
  readonly #tau_s: number;
  #count = 0;
  #time_s = 0;

  constructor(tau_s: number) {
    this.#tau_s = tau_s;
  }

  /** `count` events happened in the last `seconds`. */
  add(count: number, seconds: number): void {
    if (!(seconds > 0)) return;
    const kept = Math.exp(-seconds / this.#tau_s);
    const weight = this.#tau_s * (1 - kept);
    this.#count = this.#count * kept + (count / seconds) * weight;
    this.#time_s = this.#time_s * kept + weight;
  }

  /** Undefined before the first sample. */
  get perSecond(): number | undefined {
    return this.#time_s > 0 ? this.#count / this.#time_s : undefined;
  }
}
