import { HEADER_LENGTH } from "@millrace/contracts";
import type { JsMsg } from "nats";
import { deliveredHeaders } from "./header-reader.ts";

/** One delivery of a stored message. */
export type Delivery = {
  readonly subject: string;
  readonly body: Uint8Array;
  /** Length of the JSON part of the body when binary tensors follow it. */
  readonly headerLength?: number | undefined;
  readonly header: (name: string) => string | undefined;
  readonly stream: string;
  /** Position in the stream. */
  readonly sequence: number;
  /**
   * How often the stream has delivered it, to anyone, this time included. It grows when a process dies, stops, or loses
   * its connection while it has the message, and by delayed naks; not by what is held.
   */
  readonly deliveries: number;
  /** Which attempt at its receiver this is, as far as this process knows: 1 + the failures of kind `delivery` it saw. */
  readonly attempt: number;
  /** When the stream stored it. */
  readonly stored_at: Date;
};

/** A message that this process has and has not settled. Reads no header before it is asked for one. */
export class Taken implements Delivery {
  /** The last delivery of it: after a lost connection the server may deliver again what is under way here. */
  message: JsMsg;
  readonly subject: string;
  readonly body: Uint8Array;
  readonly stream: string;
  readonly sequence: number;
  readonly deliveries: number;
  readonly attempt: number;
  readonly #timestampNanos: number;
  #read: Delivery["header"] | undefined;

  constructor(message: JsMsg, failures: number) {
    const { stream, streamSequence, deliveryCount, timestampNanos } = message.info;
    this.message = message;
    this.subject = message.subject;
    this.body = message.data;
    this.stream = stream;
    this.sequence = streamSequence;
    this.deliveries = deliveryCount;
    this.attempt = failures + 1;
    this.#timestampNanos = timestampNanos;
  }

  readonly header = (name: string): string | undefined => {
    this.#read ??= deliveredHeaders(this.message);
    return this.#read(name);
  };

  get headerLength(): number | undefined {
    const length = this.header(HEADER_LENGTH);
    return length === undefined ? undefined : Number(length);
  }

  get stored_at(): Date {
    return new Date(this.#timestampNanos / 1e6);
  }
}
