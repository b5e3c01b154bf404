/**
 * Sequence numbers waiting for delivery, smallest first. New ones arrive in order and go through a plain FIFO; the few
 * that come back (abandoned, lock expired, dead-lettered) go through a heap. Both ends are O(1) for the common case.
 */
export class SequenceQueue {
  #fresh: number[] = [];
  #head = 0;
  readonly #returned: number[] = [];

  get size(): number {
    return this.#fresh.length - this.#head + this.#returned.length;
  }

  /** The number that `shift` would take. */
  peek(): number | undefined {
    const fresh = this.#fresh[this.#head];
    const returned = this.#returned[0];
    return returned !== undefined && (fresh === undefined || returned < fresh) ? returned : fresh;
  }

  append(sequenceNumber: number): void {
    const last = this.#fresh.at(-1);
    if (last !== undefined && this.#head < this.#fresh.length && sequenceNumber < last) this.putBack(sequenceNumber);
    else this.#fresh.push(sequenceNumber);
  }

  putBack(sequenceNumber: number): void {
    const heap = this.#returned;
    let at = heap.push(sequenceNumber) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]! <= sequenceNumber) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = sequenceNumber;
  }

  shift(): number | undefined {
    const fresh = this.#fresh[this.#head];
    const returned = this.#returned[0];
    if (returned !== undefined && (fresh === undefined || returned < fresh)) return this.#popReturned();
    if (fresh === undefined) return undefined;
    this.#head++;
    // The consumed part is cut off now and then, so that neither memory nor time grows with what was delivered.
    if (this.#head > 4096 && this.#head * 2 > this.#fresh.length) {
      this.#fresh = this.#fresh.slice(this.#head);
      this.#head = 0;
    }
    return fresh;
  }

  #popReturned(): number | undefined {
    const heap = this.#returned;
    const smallest = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return smallest;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= last) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return smallest;
  }
}
