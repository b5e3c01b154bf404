import type { Journal } from "../domain/journal.ts";

/**
 * Orders the broker's work so that nothing is promised before it is on disk. All that arrives within one turn of the event
 * loop changes the state machine at once; then, once per turn: commit, answer, deliver, commit what delivering changed,
 * transmit. One transaction covers a turn, however many connections took part in it.
 */
export class WorkCycle {
  readonly #journal: Journal;
  readonly #deliver: () => (() => void)[];
  readonly #onError: (error: unknown) => void;
  #answers: (() => void)[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #closed = false;

  /** `deliver` takes messages out of the queues and returns how to transmit them. */
  constructor(options: { journal: Journal; deliver: () => (() => void)[]; onError: (error: unknown) => void }) {
    this.#journal = options.journal;
    this.#deliver = options.deliver;
    this.#onError = options.onError;
  }

  /** Runs `answer` once everything done so far is durable. */
  afterCommit(answer: () => void): void {
    this.#answers.push(answer);
    this.request();
  }

  request(): void {
    if (this.#closed) return;
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.run();
    });
  }

  run(): void {
    if (this.#closed) return;
    try {
      this.#journal.commit();
      const answers = this.#answers;
      this.#answers = [];
      for (const answer of answers) answer();
      const transmissions = this.#deliver();
      this.#journal.commit();
      for (const transmit of transmissions) transmit();
    } catch (error) {
      this.#onError(error);
    }
  }

  close(): void {
    if (this.#scheduled) clearImmediate(this.#scheduled);
    this.#closed = true;
  }
}
