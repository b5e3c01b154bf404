/**
 * Keeps a namespace from being sent more than it takes: a token bucket, shared by all routes, whose rate halves when
 * Service Bus says that it is busy and grows steadily when it does not (AIMD), so that the sends of all routes find
 * the rate that the namespace allows. Until it is first busy nothing is held back. Times are in milliseconds.
 */
export class Throttle {
  /** Messages per second; Infinity until the namespace is busy. */
  #rate = Number.POSITIVE_INFINITY;
  #tokens = 0;
  #at_ms = 0;
  #busy_ms = 0;
  /** What was sent within the current second, and in the last one: the rate that was too much. */
  #window = { began_ms: 0, sent: 0, last: 0 };

  get rate(): number {
    return this.#rate;
  }

  /** How long to wait before so many may be sent. */
  wait_ms(messages: number, now: number): number {
    this.#refill(now);
    if (this.#rate === Number.POSITIVE_INFINITY) return 0;
    // A send larger than the bucket goes when the bucket is full, and is paid off after.
    const missing = Math.min(messages, this.#rate) - this.#tokens;
    return missing <= 0 ? 0 : Math.ceil((missing / this.#rate) * 1_000);
  }

  sent(messages: number, now: number): void {
    this.#refill(now);
    this.#tokens -= messages;
    if (now - this.#window.began_ms >= 1_000)
      this.#window = { began_ms: now, sent: 0, last: now - this.#window.began_ms < 2_000 ? this.#window.sent : 0 };
    this.#window.sent += messages;
  }

  /** Sends under way together are told together: once in a second the rate halves. */
  busy(now: number): void {
    this.#refill(now);
    if (now - this.#busy_ms < BUSY_AGAIN_MS && this.#rate !== Number.POSITIVE_INFINITY) return;
    const measured = Math.max(this.#window.sent, this.#window.last);
    const was = this.#rate === Number.POSITIVE_INFINITY ? measured : this.#rate;
    this.#rate = Math.max(RATE_MIN, was / 2);
    this.#tokens = Math.min(this.#tokens, 0);
    this.#busy_ms = now;
  }

  #refill(now: number): void {
    const elapsed_s = Math.max(0, now - this.#at_ms) / 1_000;
    this.#at_ms = now;
    if (this.#rate === Number.POSITIVE_INFINITY) {
      this.#tokens = 0;
      return;
    }
    if (now - this.#busy_ms > FORGET_MS) {
      this.#rate = Number.POSITIVE_INFINITY;
      return;
    }
    this.#tokens = Math.min(this.#rate, this.#tokens + this.#rate * elapsed_s);
    this.#rate += GROWTH_PER_S * elapsed_s;
  }
}

/** Messages per second below which it does not fall, so that it finds out when the namespace takes more. */
const RATE_MIN = 20;
const GROWTH_PER_S = 50;
const BUSY_AGAIN_MS = 1_000;
/** After this long without a busy answer the namespace is not throttled any more. */
const FORGET_MS = 60_000;
