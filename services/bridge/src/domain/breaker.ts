import { delayBehind } from "./delays.ts";
import { type BlockedReason, type HeldKind, TROUBLE } from "./trouble.ts";

/** `closed`: it works, or failed a moment ago. `open`: it failed in a row, and only single sends probe it now and then. */
export type BreakerState = "closed" | "open";

/**
 * Circuit breaker of one entity. After any failure sends wait, and then one goes alone until it works; what makes the
 * breaker open, which is what operators are told of, is a number of failures in a row. Pure but for what it remembers.
 */
export class Breaker {
  #failures = 0;
  #until_ms = 0;
  #probing = false;
  #open = false;
  #blocked: BlockedReason | undefined;
  #why: string | undefined;

  get state(): BreakerState {
    return this.#open ? "open" : "closed";
  }
  /** Of the last failure; undefined when the last send worked. */
  get why(): string | undefined {
    return this.#why;
  }
  /** What has to be mended at the entity. */
  get blocked(): BlockedReason | undefined {
    return this.#blocked;
  }

  /** How long the next send has to wait; undefined while a probe is under way. */
  wait_ms(now: number): number | undefined {
    if (this.#failures === 0) return 0;
    return this.#probing ? undefined : Math.max(0, this.#until_ms - now);
  }

  /** A send begins. */
  begin(): void {
    if (this.#failures > 0) this.#probing = true;
  }

  worked(): void {
    this.#failures = 0;
    this.#probing = false;
    this.#open = false;
    this.#blocked = undefined;
    this.#why = undefined;
  }

  failed(kind: HeldKind, why: string, now: number): void {
    const { delays_ms, opens_after, blocked } = TROUBLE[kind];
    // Sends that were under way together fail together: they are one failure.
    if (this.#failures === 0 || this.#probing) {
      this.#failures++;
      this.#until_ms = now + delayBehind(delays_ms, this.#failures);
    }
    this.#probing = false;
    this.#why = `${kind}: ${why}`;
    this.#blocked = blocked;
    if (this.#failures >= opens_after) this.#open = true;
  }
}
