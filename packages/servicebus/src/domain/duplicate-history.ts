import type { Journal } from "./journal.ts";

/**
 * The message ids an entity has accepted within its duplicate detection window. All entries of one entity live equally
 * long, so insertion order is expiry order and forgetting is a walk from the front. A repeat does not extend the window.
 */
export class DuplicateHistory {
  readonly #entity: string;
  /** May be changed; ids admitted before keep their time, and hold back the forgetting of those after them. */
  windowMs: number;
  readonly #journal: Journal;
  readonly #expiryById = new Map<string, number>();

  constructor(options: { entity: string; windowMs: number; journal: Journal }) {
    this.#entity = options.entity;
    this.windowMs = options.windowMs;
    this.#journal = options.journal;
  }

  get size(): number {
    return this.#expiryById.size;
  }

  /** True the first time an id is seen within the window; a message without an id is always new. */
  admit(messageId: string | undefined, now: number): boolean {
    this.forgetExpired(now);
    if (messageId === undefined) return true;
    if (this.#expiryById.has(messageId)) return false;
    const expiresAt = now + this.windowMs;
    this.#expiryById.set(messageId, expiresAt);
    this.#journal.remember(this.#entity, messageId, expiresAt);
    return true;
  }

  forgetExpired(now: number): void {
    for (const [messageId, expiresAt] of this.#expiryById) {
      if (expiresAt > now) return;
      this.#expiryById.delete(messageId);
      this.#journal.forget(this.#entity, messageId);
    }
  }

  /** Puts back what an earlier process remembered; entries must come in order of expiry. */
  restore(messageId: string, expiresAt: number): void {
    this.#expiryById.set(messageId, expiresAt);
  }
}
