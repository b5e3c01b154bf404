/** One line of a text stream; `tooLong` lines are passed over without being kept. */
export type Line = { number: number; text: string; tooLong: boolean };

/**
 * Splits text chunks into lines (LF or CRLF), numbered from 1, keeping at most `length_max` characters of one that is
 * not complete. Chunks are decoded as a whole: decoding line by line costs more than parsing does.
 */
export class LineSplitter {
  readonly #length_max: number;
  #rest = "";
  #skipping = false;
  #number = 0;

  constructor(length_max: number) {
    this.#length_max = length_max;
  }

  /** The number of the last line that was begun. */
  get number(): number {
    return this.#number;
  }

  *feed(text: string): Generator<Line> {
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      const piece = text.slice(start, end);
      start = end + 1;
      yield this.#line(piece);
    }
    this.#keep(start === 0 ? text : text.slice(start));
  }

  /** What follows the last line feed, when it is anything. */
  *end(): Generator<Line> {
    if (this.#rest !== "" || this.#skipping) yield this.#line("");
  }

  #line(piece: string): Line {
    this.#number++;
    const text = this.#rest === "" ? piece : this.#rest + piece;
    const tooLong = this.#skipping || text.length > this.#length_max;
    this.#rest = "";
    this.#skipping = false;
    return { number: this.#number, text: tooLong ? "" : text, tooLong };
  }

  #keep(piece: string): void {
    if (this.#skipping) return;
    this.#rest += piece;
    if (this.#rest.length > this.#length_max) {
      this.#rest = "";
      this.#skipping = true;
    }
  }
}
