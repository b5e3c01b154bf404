import type { RetentionMark } from "@millrace/contracts";

/**
 * Keeps the count in a retention mark honest: how many positions up to `through` retention has emptied, itself. The
 * mark is written before a range is removed, so after a crash it may promise more than was done; the next walk over the
 * stream sees what is really gone and takes the promise back. What somebody else removed is never added.
 */
export class RetiredCount {
  readonly #before: { through: number; retired: number };
  #through: number;
  /** Positions that the walk has seen, up to the earlier mark. */
  #seen = 0;
  #walked = 0;
  #planned = 0;

  constructor(mark: Pick<RetentionMark, "through" | "retired"> | undefined) {
    this.#before = { through: mark?.through ?? 0, retired: mark?.retired ?? 0 };
    this.#through = this.#before.through;
  }

  /** A message that is there. In stream order, from the first. */
  see(sequence: number): void {
    this.#walked = sequence;
    if (sequence <= this.#before.through) this.#seen++;
  }

  /** These are removed next. Answers what the mark says then. */
  plan(sequences: readonly number[]): { through: number; retired: number } {
    this.#planned += sequences.length;
    this.#through = Math.max(this.#through, ...sequences);
    return { through: this.#through, retired: this.#base() + this.#planned };
  }

  #base(): number {
    const { through, retired } = this.#before;
    return this.#walked < through ? retired : Math.min(retired, through - this.#seen);
  }
}
