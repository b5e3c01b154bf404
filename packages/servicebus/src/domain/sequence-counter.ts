import type { Journal } from "./journal.ts";

/** Numbers the messages of a queue, a subscription or (those sent for later) a topic; never gives one twice. */
export class SequenceCounter {
  readonly name: string;
  readonly #journal: Journal;
  #last = 0;
  /** Messages ever accepted; fewer than numbers given, since a scheduled message gets a second one when it is due. */
  enqueued = 0;

  constructor(options: { name: string; journal: Journal }) {
    this.name = options.name;
    this.#journal = options.journal;
  }

  /** The number given out last. */
  get last(): number {
    return this.#last;
  }

  next(): number {
    this.#journal.advance(this);
    return ++this.#last;
  }

  restore(last: number, enqueued: number): void {
    this.#last = last;
    this.enqueued = enqueued;
  }
}
