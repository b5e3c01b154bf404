/** Waits that all end at once when what they belong to stops. */
export class Holds {
  readonly #waiting = new Set<() => void>();
  #ended = false;

  /** Waits so long. True when the time is over, false when it was ended before. */
  wait(delay_ms: number): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    return new Promise((resolve) => {
      const over = (whole: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(cancel);
        resolve(whole);
      };
      const cancel = () => over(false);
      const timer = setTimeout(over, delay_ms, true);
      this.#waiting.add(cancel);
    });
  }

  /** Ends every wait, and those that are still to come. */
  end(): void {
    this.#ended = true;
    for (const cancel of [...this.#waiting]) cancel();
  }
}
