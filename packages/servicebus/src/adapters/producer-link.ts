import type { Namespace } from "../domain/namespace.ts";
import type { Target } from "../domain/target.ts";
import type { LinkFaults } from "../faults/link-faults.ts";
import type { Arrival, ArrivalSink } from "./incoming-transfers.ts";
import { BUSY, notFound, refusalOf } from "./refusals.ts";
import { type AmqpError, type Link, message } from "./rhea.ts";
import { readOffered, unpackBatch } from "./sections.ts";
import type { Endpoint, SessionState } from "./session-state.ts";
import type { WorkCycle } from "./work-cycle.ts";

const BATCH_FORMAT = 0x80013700;
const CREDIT = 512;

/** A client's sender: stores what arrives, and accepts it once that is durable. */
export class ProducerLink implements ArrivalSink, Endpoint {
  readonly maxMessageBytes: number;
  readonly #link: Link;
  readonly #session: SessionState;
  readonly #namespace: Namespace;
  readonly #target: Target;
  readonly #cycle: WorkCycle;
  readonly #faults: LinkFaults;
  #open = true;

  constructor(options: {
    link: Link;
    session: SessionState;
    namespace: Namespace;
    target: Target;
    cycle: WorkCycle;
    faults: LinkFaults;
  }) {
    this.#link = options.link;
    this.#session = options.session;
    this.#namespace = options.namespace;
    this.#target = options.target;
    this.#cycle = options.cycle;
    this.#faults = options.faults;
    this.maxMessageBytes = options.target.maxMessageBytes;
    this.#link.flow(CREDIT);
  }

  arrived(arrival: Arrival): void {
    this.#faults.pass("transfer", () => this.#take(arrival));
  }

  #take(arrival: Arrival): void {
    if (!this.#open) return;
    const refusal = this.#faults.isBusy("send") ? BUSY : this.#store(arrival);
    this.#faults.transferred();
    const untold = !refusal && this.#faults.losesConfirmation();
    this.#cycle.afterCommit(() => {
      if (!untold) this.#faults.pass("disposition", () => this.#confirm(arrival, refusal));
      if (this.#open && this.#link.credit < CREDIT / 2) this.#link.flow(CREDIT - this.#link.credit);
    });
  }

  #confirm({ deliveryId }: Arrival, refusal: AmqpError | undefined): void {
    // Also when its link is gone meanwhile: a sender that hears nothing waits for a long time, and sends again.
    if (!this.#session.open || deliveryId === undefined) return;
    const { confirmations } = this.#session;
    // The Python SDK reads an error's third field without asking whether there is one.
    if (refusal) confirmations.settle(deliveryId, message.rejected({ error: { ...refusal, info: {} } }).described());
    else confirmations.accept(deliveryId);
  }

  closed(): void {
    this.#open = false;
  }

  #store({ content, format }: Arrival): AmqpError | undefined {
    if (this.#namespace.target(this.#target.name) !== this.#target) {
      return { condition: "amqp:not-found", description: notFound(this.#target.name) };
    }
    if (!content) {
      return {
        condition: "amqp:link:message-size-exceeded",
        description: `${this.#target.name} takes transfers of at most ${this.maxMessageBytes} bytes.`,
      };
    }
    try {
      const offered = (format === BATCH_FORMAT ? unpackBatch(content) : [content]).map(readOffered);
      const refusal = this.#namespace.routing.send(this.#target, offered);
      return refusal && refusalOf(refusal, this.#target);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
      return { condition: "amqp:decode-error", description: `Not an AMQP message: ${error.message}.` };
    }
  }
}
