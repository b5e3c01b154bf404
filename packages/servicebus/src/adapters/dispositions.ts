import { frames, message, type Session, type Typed } from "./rhea.ts";

const ACCEPTED = message.accepted().described();

/**
 * Settled dispositions of one session and direction, written together: a run of accepted deliveries with consecutive ids
 * is one frame, so a hundred confirmations cost what one does.
 */
export class DispositionBatch {
  readonly #session: Session;
  readonly #role: boolean;
  #first = -1;
  #last = -1;

  /** `role` is ours: true where we receive. */
  constructor(session: Session, role: boolean) {
    this.#session = session;
    this.#role = role;
  }

  accept(deliveryId: number): void {
    if (this.#first >= 0 && deliveryId === this.#last + 1) {
      this.#last = deliveryId;
      return;
    }
    this.flush();
    this.#first = deliveryId;
    this.#last = deliveryId;
  }

  settle(deliveryId: number, state: Typed): void {
    this.flush();
    this.#write(deliveryId, deliveryId, state);
  }

  flush(): void {
    if (this.#first >= 0) this.#write(this.#first, this.#last, ACCEPTED);
    this.#first = -1;
  }

  #write(first: number, last: number, state: Typed): void {
    this.#session.output(frames.disposition({ role: this.#role, first, last, settled: true, state }));
  }
}
