import type { Lock, StoredMessage } from "./message.ts";

/** The locks that receivers hold on the messages of one queue, by token, the first to expire first. */
export class LockTable {
  /** In order of expiry while every lock lasts equally long: renewing moves one to the end. */
  readonly #locks = new Map<string, Lock>();
  /** Locks of different lengths are held: the next to expire may be any of them. */
  #outOfOrder = false;

  get size(): number {
    return this.#locks.size;
  }

  get(token: string): Lock | undefined {
    return this.#locks.get(token);
  }

  add(lock: Lock): void {
    this.#locks.set(lock.token, lock);
  }

  remove(lock: Lock): void {
    this.#locks.delete(lock.token);
  }

  renew(lock: Lock, lockedUntil: number): void {
    lock.lockedUntil = lockedUntil;
    this.#locks.delete(lock.token);
    this.#locks.set(lock.token, lock);
  }

  /** Locks last longer or shorter from now on than those that are held. */
  changeDuration(): void {
    this.#outOfOrder = true;
  }

  /** Those that have run out; each may be removed before the next is asked for. */
  *expired(now: number): Iterable<Lock> {
    if (this.#locks.size === 0) this.#outOfOrder = false;
    for (const lock of this.#locks.values()) {
      if (lock.lockedUntil <= now) yield lock;
      else if (!this.#outOfOrder) return;
    }
  }

  /** When the next one runs out, if any is held. */
  nextExpiry(): number | undefined {
    let earliest: number | undefined;
    for (const { lockedUntil } of this.#locks.values()) {
      if (earliest === undefined || lockedUntil < earliest) earliest = lockedUntil;
      if (!this.#outOfOrder) break;
    }
    return earliest;
  }

  messages(): Set<StoredMessage> {
    return new Set([...this.#locks.values()].map(({ message }) => message));
  }
}
