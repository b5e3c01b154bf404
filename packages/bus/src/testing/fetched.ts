/** What `consumer.fetch` of the client answers: messages as they come, until it has enough, has waited enough, or is stopped. */
export type Fetched<T> = AsyncIterable<T> & {
  push(value: T): void;
  /** No more will come; what is there is still read. */
  finish(): void;
  fail(cause: Error): void;
  /** Ends reading at once. What came and was not read is dropped, as in the client. */
  stop(): void;
  close(): Promise<void>;
  getPending(): number;
};

export function createFetched<T>({ stopped }: { stopped: () => void }): Fetched<T> {
  let values: T[] = [];
  let finished = false;
  let ended = false;
  let failure: Error | undefined;
  let wake = () => {};

  async function* read(): AsyncGenerator<T> {
    for (;;) {
      if (ended) return;
      if (values.length > 0) yield values.shift()!;
      else if (failure) throw failure;
      else if (finished) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  return {
    [Symbol.asyncIterator]: read,
    push(value) {
      if (!finished && !ended) values.push(value);
      wake();
    },
    finish() {
      finished = true;
      wake();
    },
    fail(cause) {
      failure ??= cause;
      wake();
    },
    stop() {
      if (ended) return;
      ended = true;
      values = [];
      stopped();
      wake();
    },
    async close() {
      this.stop();
    },
    getPending: () => values.length,
  };
}
