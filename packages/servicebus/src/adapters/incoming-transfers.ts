import type { BeginFields, DispositionFields, FlowFields, Link, Session, TransferFields } from "./rhea.ts";

/** A whole message as it arrived; `deliveryId` is undefined when the sender had settled it and wants no answer. */
export interface Arrival {
  readonly deliveryId: number | undefined;
  readonly format: number;
  /** `undefined` when the message was longer than the link allows. */
  readonly content: Buffer | undefined;
}

export interface ArrivalSink {
  readonly maxMessageBytes: number;
  arrived(arrival: Arrival): void;
}

interface Partial {
  readonly deliveryId: number | undefined;
  readonly format: number;
  readonly settled: boolean;
  chunks: Buffer[];
  bytes: number;
}

const WINDOW = 2048;

/**
 * Takes the place of rhea's receiving half of a session. rhea decodes each message, which loses types, and keeps
 * deliveries in a ring that one unsettled delivery blocks; this only joins frames to bytes and hands them on.
 */
export class IncomingTransfers {
  readonly #sinks = new Map<Link, ArrivalSink>();
  readonly #partials = new Map<Link, Partial>();
  readonly window = WINDOW;
  next_transfer_id: number;
  max_transfer_id: number;

  constructor(begin: BeginFields) {
    this.next_transfer_id = begin.next_outgoing_id;
    this.max_transfer_id = begin.next_outgoing_id + WINDOW;
  }

  attach(link: Link, sink: ArrivalSink): void {
    this.#sinks.set(link, sink);
  }

  detach(link: Link): void {
    this.#sinks.delete(link);
    this.#partials.delete(link);
  }

  on_flow(fields: FlowFields): void {
    if (fields.next_outgoing_id != null) this.next_transfer_id = fields.next_outgoing_id;
  }

  on_transfer(frame: { performative: TransferFields; payload?: Buffer }, link: Link): void {
    this.next_transfer_id++;
    const sink = this.#sinks.get(link);
    if (!sink) return; // detached by us while the transfer was on its way
    const fields = frame.performative;
    const partial = this.#partials.get(link) ?? {
      deliveryId: fields.delivery_id ?? undefined,
      format: fields.message_format ?? 0,
      settled: fields.settled ?? false,
      chunks: [],
      bytes: 0,
    };
    if (frame.payload && frame.payload.length > 0) {
      partial.bytes += frame.payload.length;
      // Past the limit the bytes are counted and dropped, so that an endless message costs no memory.
      if (partial.bytes > sink.maxMessageBytes) partial.chunks = [];
      else partial.chunks.push(frame.payload);
    }
    if (fields.aborted) this.#partials.delete(link);
    else if (fields.more) this.#partials.set(link, partial);
    else this.#complete(link, sink, partial);
    if (fields.aborted || !fields.more) {
      link.delivery_count++;
      link.credit--;
    }
  }

  #complete(link: Link, sink: ArrivalSink, partial: Partial): void {
    this.#partials.delete(link);
    const fits = partial.bytes <= sink.maxMessageBytes;
    sink.arrived({
      deliveryId: partial.settled ? undefined : partial.deliveryId,
      format: partial.format,
      content: fits ? Buffer.concat(partial.chunks) : undefined,
    });
  }

  /** Senders settle with the transfer or leave it to us: nothing of theirs needs an answer. */
  on_disposition(_fields: DispositionFields): void {}

  process(session: Session): void {
    if (this.max_transfer_id - this.next_transfer_id < WINDOW / 2) session._write_flow();
  }
}
