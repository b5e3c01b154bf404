import type { Problem } from "@millrace/contracts";
import { FadingRate } from "./averages.ts";
import type { Refusal } from "./model-queue.ts";

/** What a stream holds of what it may. Bytes; `max_bytes` of 0 or less: no bound. */
export type Fill = { stream: string; bytes: number; max_bytes: number };

/** Share of a stream's bound at which new work is refused, so that outcomes always have room. */
const FULL = 0.8;
/** Where it is taken again. */
const REOPEN = 0.79;
const RETRY_AFTER_DEFAULT_S = 30;
const RETRY_AFTER_MAX_S = 3_600;
/** Retention deletes in the background and at a limited rate: a minute shows what it does. */
const TAU_S = 60;

/** Whether the streams have room for further requests and their outcomes; if not, when they are likely to. */
export class Room {
  readonly #streams = new Map<string, { bytes: number; seen_s: number; leaving: FadingRate; full: boolean }>();
  #refusal: Refusal | undefined;

  /** What was seen at `now` (seconds, monotonic). */
  look(now: number, fills: readonly Fill[]): void {
    this.#refusal = undefined;
    for (const { stream, bytes, max_bytes } of fills) {
      const before = this.#streams.get(stream);
      const leaving = before?.leaving ?? new FadingRate(TAU_S);
      if (before) leaving.add(Math.max(0, before.bytes - bytes), now - before.seen_s);
      const used = max_bytes > 0 ? bytes / max_bytes : 0;
      const full = used >= (before?.full ? REOPEN : FULL);
      this.#streams.set(stream, { bytes, seen_s: now, leaving, full });
      if (full) this.#refusal ??= refusalOf(stream, used, bytes - REOPEN * max_bytes, leaving.perSecond);
    }
  }

  /** Why nothing can be stored now. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }
}

function refusalOf(stream: string, used: number, surplus: number, leaving: number | undefined): Refusal {
  const problem: Problem = {
    code: "storage-full",
    detail: `${stream} holds ${Math.floor(used * 100)} % of what it may`,
  };
  const wait_s = leaving ? Math.ceil(surplus / leaving) : RETRY_AFTER_DEFAULT_S;
  return { ...problem, retry_after_s: Math.min(RETRY_AFTER_MAX_S, Math.max(1, wait_s)) };
}
