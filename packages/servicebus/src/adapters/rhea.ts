/// <reference path="./rhea-internals.d.ts" />
import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import container from "rhea/lib/container.js";
import frames from "rhea/lib/frames.js";
import message from "rhea/lib/message.js";
import types from "rhea/lib/types.js";
import type { Mechanism } from "./sasl.ts";

export { container, frames, message, types };

/** A value with its AMQP type, as rhea's reader gives it and its writer takes it. */
export interface Typed {
  readonly type: { readonly typecode: number };
  readonly value: unknown;
}

export interface Types {
  readonly Reader: new (buffer: Buffer) => { read(): Typed; remaining(): number };
  readonly Writer: new () => { write(value: Typed): void; toBuffer(): Buffer };
  wrap(value: unknown): Typed;
  unwrap(value: unknown): unknown;
  wrap_array(items: readonly unknown[], typecode: number): Typed;
  wrap_int(value: number): Typed;
  wrap_uint(value: number): Typed;
  wrap_ubyte(value: number): Typed;
  wrap_ulong(value: number): Typed;
  wrap_long(value: number | Buffer): Typed;
  wrap_double(value: number): Typed;
  wrap_string(value: string): Typed;
  wrap_symbol(value: string): Typed;
  wrap_timestamp(value: number): Typed;
  wrap_uuid(value: Buffer): Typed;
  wrap_list(values: readonly unknown[]): Typed;
  wrap_boolean(value: boolean): Typed;
  described(descriptor: Typed, value: Typed): Typed;
  readonly Map32: (items: readonly Typed[]) => Typed;
  is_map(value: Typed): boolean;
}

export interface Frames {
  transfer(fields: Record<string, unknown>): unknown;
  disposition(fields: Record<string, unknown>): unknown;
  flow(fields: Record<string, unknown>): unknown;
}

interface Described {
  described(): Typed;
}

export interface MessageCodec {
  encode(message: Record<string, unknown>): Buffer;
  decode(buffer: Buffer): DecodedMessage;
  accepted(): Described;
  released(): Described;
  rejected(fields?: { error?: AmqpError }): Described;
  modified(fields: Record<string, unknown>): Described;
  unwrap_outcome(state: unknown): Outcome;
}

/** A decoded delivery state; which one it is, its constructor says. */
export interface Outcome {
  readonly constructor: { readonly composite_type?: string };
  readonly error?: {
    readonly condition?: string;
    readonly description?: string;
    readonly info?: Record<string, unknown>;
  };
  readonly delivery_failed?: boolean;
  readonly undeliverable_here?: boolean;
  readonly message_annotations?: Record<string, unknown>;
}

export interface DecodedMessage {
  readonly message_id?: unknown;
  readonly reply_to?: string;
  readonly application_properties?: Record<string, unknown>;
  readonly body?: unknown;
}

export interface AmqpError {
  readonly condition: string;
  readonly description: string;
}

export interface Container extends EventEmitter {
  create_container(options: Record<string, unknown>): Container;
  create_connection(options: Record<string, unknown>): Connection;
  readonly sasl_server_mechanisms: Record<string, unknown>;
}

export interface Connection extends EventEmitter {
  accept(socket: Duplex): void;
  /** Has the endpoints' `_process` called soon. */
  _register(): void;
  close(error?: AmqpError): void;
  readonly socket: Duplex;
  readonly max_frame_size: number | undefined;
  readonly sasl_transport?: { readonly mechanism?: Mechanism; readonly selected?: { readonly mechanism?: Mechanism } };
}

export interface Terminus extends Described {
  readonly address?: string | null;
  /** Sources only; described values come with their descriptor. */
  filter?: Readonly<Record<string, unknown>> | null;
}

export interface Link {
  readonly name: string;
  readonly connection: Connection;
  readonly session: Session;
  readonly source: Terminus | null;
  readonly target: Terminus | null;
  readonly properties: Readonly<Record<string, unknown>> | null | undefined;
  readonly snd_settle_mode: number | undefined;
  readonly rcv_settle_mode: number | undefined;
  readonly local: {
    readonly handle: number;
    readonly attach: {
      source: unknown;
      target: unknown;
      snd_settle_mode: number;
      rcv_settle_mode: number;
      max_message_size: number;
      properties: Readonly<Record<string, unknown>>;
    };
  };
  credit: number;
  delivery_count: number;
  /** Set by us: rhea's own reading of a flow is replaced (see `OutgoingLink`). */
  on_flow(frame: { performative: FlowFields }): void;
  is_receiver(): boolean;
  close(error?: AmqpError): void;
  /** Writes what is due (attach, flow, detach); replaced while an attach is held back. */
  _process(): void;
  /** Receivers only: grants credit to the peer. */
  flow(credit: number): void;
}

export interface FlowFields {
  readonly delivery_count?: number | null;
  readonly link_credit?: number | null;
  readonly drain?: boolean | null;
  readonly next_incoming_id?: number | null;
  readonly next_outgoing_id?: number | null;
  readonly incoming_window: number;
  readonly outgoing_window: number;
}

export interface TransferFields {
  readonly delivery_id?: number | null;
  readonly delivery_tag?: Buffer | null;
  readonly message_format?: number | null;
  readonly settled?: boolean | null;
  readonly more?: boolean | null;
  readonly aborted?: boolean | null;
}

export interface DispositionFields {
  readonly first: number;
  readonly last?: number | null;
  readonly settled?: boolean | null;
  readonly state?: unknown;
}

export interface BeginFields {
  readonly next_outgoing_id: number;
  readonly incoming_window: number;
  readonly outgoing_window: number;
}

export interface Session {
  readonly connection: Connection;
  /** By name, until both sides have detached. */
  readonly links: Readonly<Record<string, unknown>>;
  readonly remote: { readonly begin: BeginFields };
  /** Replaced by ours when the session opens. */
  outgoing: unknown;
  incoming: unknown;
  output(frame: unknown, payload?: Buffer): void;
  _write_flow(link?: Link): void;
}

/** What rhea hands to every event listener. */
export interface EventContext {
  readonly connection: Connection;
  readonly session: Session;
  readonly sender?: Link;
  readonly receiver?: Link;
  readonly error?: unknown;
}
