import { Heap } from "./heap.ts";

/**
 * Sequence numbers waiting for delivery, smallest first. New ones arrive in order and go through a plain FIFO; the few
 * that come back (abandoned, lock expired, dead-lettered) go through a heap. Both ends are O(1) for the common case.
 */
export class SequenceQueue {
  #fresh: number[] = [];
  #head = 0;
  readonly #returned = new Heap<number>((a, b) => a < b);

  get size(): number {
    return this.#fresh.length - this.#head + this.#returned.size;
  }

  /** The number that `shift` would take. */
  peek(): number | undefined {
    const fresh = this.#fresh[this.#head];
    const returned = this.#returned.peek();
    return returned !== undefined && (fresh === undefined || returned < fresh) ? returned : fresh;
  }

  append(sequenceNumber: number): void {
    const last = this.#fresh.at(-1);
    if (last !== undefined && this.#head < this.#fresh.length && sequenceNumber < last) this.putBack(sequenceNumber);
    else this.#fresh.push(sequenceNumber);
  }

  putBack(sequenceNumber: number): void {
    this.#returned.push(sequenceNumber);
  }

  shift(): number | undefined {
    const fresh = this.#fresh[this.#head];
    const returned = this.#returned.peek();
    if (returned !== undefined && (fresh === undefined || returned < fresh)) return this.#returned.pop();
    if (fresh === undefined) return undefined;
    this.#head++;
    // The consumed part is cut off now and then, so that neither memory nor time grows with what was delivered.
    if (this.#head > 4096 && this.#head * 2 > this.#fresh.length) {
      this.#fresh = this.#fresh.slice(this.#head);
      this.#head = 0;
    }
    return fresh;
  }
}
