import { setImmediate } from "node:timers/promises";
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import { readPrediction } from "./prediction.ts";
import type { Store } from "./store.ts";

/** Handles a message and settles it: completed after our own commit, never before. */
export class Handler {
  readonly #store: Store;
  readonly #say: (line: string) => void;
  #lastTurn = Promise.resolve();

  constructor(store: Store, say: (line: string) => void) {
    this.#store = store;
    this.#say = say;
  }

  /**
   * @returns false when the message goes back, because our own trouble is not its fault
   * @throws what the SDK throws when the link or the lock was lost: the message comes again, and is known then
   */
  async handle(receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage): Promise<boolean> {
    const read = readPrediction(message);
    if ("poison" in read) {
      const { reason, description } = read.poison;
      await this.#turn();
      await receiver.deadLetterMessage(message, { deadLetterReason: reason, deadLetterErrorDescription: description });
      this.#say(`dead-lettered ${message.messageId}: ${reason}`);
      return true;
    }
    let first: boolean;
    try {
      first = this.#store.handleOnce(read.ok);
    } catch (error) {
      this.#say(`not handled ${message.messageId}: ${(error as Error).message}`);
      await this.#turn();
      await receiver.abandonMessage(message);
      return false;
    }
    await this.#turn();
    await receiver.completeMessage(message);
    const { messageId, correlationId, model, state } = read.ok;
    this.#say(`${first ? "done" : "repeat"} ${messageId} ${model} ${state} (correlation ${correlationId ?? "none"})`);
    return true;
  }

  /**
   * One settlement per turn of the event loop. Of two in one turn, rhea 3.0.5, on which the SDK stands, gives the second
   * the outcome of the first: what should be dead-lettered is completed, and gone.
   */
  #turn(): Promise<void> {
    this.#lastTurn = this.#lastTurn.then(() => setImmediate());
    return this.#lastTurn;
  }
}
