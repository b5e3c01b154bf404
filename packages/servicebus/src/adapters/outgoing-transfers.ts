import { DispositionBatch } from "./dispositions.ts";
import {
  type BeginFields,
  type DispositionFields,
  type FlowFields,
  frames,
  type Link,
  message,
  type Outcome,
  type Session,
  types,
} from "./rhea.ts";

/** Hears what the receiver decided about one of its deliveries. */
export interface DeliveryOwner {
  decided(deliveryId: number, outcome: Outcome | undefined, answer: DeliveryAnswer): void;
}

/** Confirms a receiver's decision; to be called once the decision is durable. */
export interface DeliveryAnswer {
  same(): void;
  refuse(condition: string, description: string): void;
  /** Says nothing; the receiver may ask again. */
  none(): void;
}

interface Delivery {
  readonly id: number;
  readonly owner: DeliveryOwner;
  decided: boolean;
}

/** Frame header, transfer performative and delivery tag fit well within this. */
const FRAME_OVERHEAD = 128;
const SMALLEST_MAX_FRAME = 512;

const subtractSerial = (a: number, b: number) => (a - b) | 0;

/**
 * Takes the place of rhea's sending half of a session. rhea keeps unsettled deliveries in a ring freed only from its head,
 * so a single message that stays locked would stall its link; here they are in a Map, in any order, as long as it takes.
 */
export class OutgoingTransfers {
  readonly #session: Session;
  readonly #maxPayload: number;
  readonly #unsettled = new Map<number, Delivery>();
  readonly #answers: DispositionBatch;
  readonly #backlog: { fields: Record<string, unknown>; payload: Buffer }[] = [];
  #nextDeliveryId = 0;
  #remoteWindowEnd: number;
  /** Read by rhea when it writes flow frames. */
  readonly window = 0xffffffff;
  next_transfer_id = 0;
  readonly deliveries = { available: () => 1 };

  constructor(session: Session, begin: BeginFields) {
    this.#session = session;
    const maxFrame = Math.max(SMALLEST_MAX_FRAME, session.connection.max_frame_size ?? 0xffffffff);
    this.#maxPayload = Math.min(maxFrame, 1 << 20) - FRAME_OVERHEAD;
    this.#remoteWindowEnd = begin.incoming_window;
    this.#answers = new DispositionBatch(session, false);
  }

  /** False while the receiver's session window is shut: a message taken now would wait in our memory. */
  get open(): boolean {
    return this.#backlog.length === 0 && this.#room() > 0;
  }

  available(): number {
    return this.open ? 1 : 0;
  }

  /** Writes one message; without an owner it is sent settled, and nothing more is heard of it. */
  send(link: Link, options: { tag: Buffer; content: Buffer; owner?: DeliveryOwner }): number {
    const { tag, content, owner } = options;
    const id = this.#nextDeliveryId;
    this.#nextDeliveryId = (id + 1) >>> 0;
    if (owner) this.#unsettled.set(id, { id, owner, decided: false });
    for (let start = 0; start === 0 || start < content.length; start += this.#maxPayload) {
      const payload = content.subarray(start, start + this.#maxPayload);
      const more = start + this.#maxPayload < content.length;
      const fields = {
        handle: link.local.handle,
        delivery_id: id,
        delivery_tag: tag,
        message_format: 0,
        settled: !owner,
        more,
      };
      this.#backlog.push({ fields, payload });
    }
    link.credit--;
    link.delivery_count = (link.delivery_count + 1) >>> 0;
    this.process();
    return id;
  }

  /** Forgets an owner's deliveries when its link ends; their locks live on in the queue. */
  abandon(owner: DeliveryOwner): void {
    for (const delivery of this.#unsettled.values()) if (delivery.owner === owner) this.#unsettled.delete(delivery.id);
  }

  on_flow(fields: FlowFields): void {
    this.#remoteWindowEnd = ((fields.next_incoming_id ?? 0) + fields.incoming_window) >>> 0;
  }

  on_disposition(fields: DispositionFields): void {
    const outcome = fields.state == null ? undefined : message.unwrap_outcome(fields.state);
    for (const delivery of this.#range(fields.first, fields.last ?? fields.first)) {
      if (delivery.decided) continue;
      delivery.decided = true;
      delivery.owner.decided(delivery.id, outcome, {
        same: () => this.#answer(delivery.id, outcome),
        refuse: (condition, description) => this.#refuse(delivery.id, condition, description),
        none: () => {
          delivery.decided = false;
        },
      });
    }
  }

  /** Writes what the window allows; called by rhea after each flow. */
  process(): void {
    while (this.#backlog.length > 0 && this.#room() > 0) {
      const { fields, payload } = this.#backlog.shift()!;
      this.next_transfer_id = (this.next_transfer_id + 1) >>> 0;
      this.#session.output(frames.transfer(fields), payload);
    }
  }

  flushAnswers(): void {
    this.#answers.flush();
  }

  #room(): number {
    return subtractSerial(this.#remoteWindowEnd, this.next_transfer_id);
  }

  /** A peer may name a range far larger than what it holds: walk whichever is shorter. */
  #range(first: number, last: number): Delivery[] {
    const length = subtractSerial(last, first) + 1;
    if (length > this.#unsettled.size) {
      return [...this.#unsettled.values()].filter(
        ({ id }) => subtractSerial(id, first) >= 0 && subtractSerial(last, id) >= 0,
      );
    }
    const found: Delivery[] = [];
    for (let step = 0; step < length; step++) {
      const delivery = this.#unsettled.get((first + step) >>> 0);
      if (delivery) found.push(delivery);
    }
    return found;
  }

  /** Azure answers with the same outcome; a rejection comes back without its error, which clients take for a failure. */
  #answer(id: number, outcome: Outcome | undefined): void {
    if (!this.#unsettled.delete(id)) return;
    const kind = outcome?.constructor.composite_type;
    if (kind === "rejected") this.#answers.settle(id, message.rejected().described());
    else if (kind === "released") this.#answers.settle(id, message.released().described());
    else if (kind === "modified") {
      const undeliverableHere = outcome?.undeliverable_here ?? false;
      this.#answers.settle(id, message.modified({ undeliverable_here: undeliverableHere }).described());
    } else this.#answers.accept(id);
  }

  #refuse(id: number, condition: string, description: string): void {
    if (!this.#unsettled.delete(id)) return;
    const error = types.described(
      types.wrap_ulong(0x1d),
      types.wrap_list([types.wrap_symbol(condition), types.wrap_string(description), types.Map32([])]),
    );
    this.#answers.settle(id, types.described(types.wrap_ulong(0x25), types.wrap_list([error])));
  }
}
