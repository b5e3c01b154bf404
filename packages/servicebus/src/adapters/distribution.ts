import type { MessageSource } from "../domain/message.ts";
import type { ConsumerLink } from "./consumer-link.ts";

/** Who receives from what, and whose turn it is. */
export class Distribution {
  readonly #consumers = new Map<MessageSource, ConsumerLink[]>();

  add(consumer: ConsumerLink): void {
    const { source } = consumer;
    const consumers = this.#consumers.get(source) ?? [];
    this.#consumers.set(source, [...consumers, consumer]);
  }

  remove(consumer: ConsumerLink): void {
    const { source } = consumer;
    const left = (this.#consumers.get(source) ?? []).filter((one) => one !== consumer);
    if (left.length > 0) this.#consumers.set(source, left);
    else this.#consumers.delete(source);
  }

  /** A source that has a receiver is in use, though nothing happens there. */
  markUsed(): void {
    for (const source of this.#consumers.keys()) source.use();
  }

  /**
   * Gives waiting messages to the consumers of each source in turn; answers how to transmit them, and whether there is more
   * to give in another turn.
   */
  serve(): { transmissions: (() => void)[]; more: boolean } {
    const transmissions: (() => void)[] = [];
    let more = false;
    for (const [source, consumers] of this.#consumers) {
      if (source.lost) {
        for (const consumer of consumers) consumer.lose();
        continue;
      }
      let idle = 0;
      while (source.hasReady && idle < consumers.length) {
        const consumer = consumers.shift()!;
        consumers.push(consumer);
        const transmit = consumer.take();
        if (transmit) transmissions.push(transmit);
        idle = transmit ? 0 : idle + 1;
      }
      for (const consumer of consumers) {
        const unfinished = source.hasReady && consumer.wantsMore;
        more ||= unfinished;
        if (consumer.draining && !unfinished) transmissions.push(() => consumer.finishDrain());
      }
    }
    return { transmissions, more };
  }
}
