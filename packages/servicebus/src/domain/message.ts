import type { HeldSession } from "./sessions.ts";
import type { SqlValue, SystemProperty } from "./sql-expression.ts";

/** What a rule may look at in a message. */
export interface MessageFields {
  readonly messageId?: string;
  readonly correlationId?: string;
  readonly to?: string;
  readonly replyTo?: string;
  readonly subject?: string;
  readonly sessionId?: string;
  readonly replyToSessionId?: string;
  readonly contentType?: string;
  readonly applicationProperties: ReadonlyMap<string, SqlValue | undefined>;
}

/** What a rule's action makes of a message's properties; `undefined` takes one away. */
export interface PropertyChanges {
  readonly system: ReadonlyMap<SystemProperty, string | undefined>;
  readonly user: ReadonlyMap<string, SqlValue | undefined>;
}

/** A message as a sender offers it. Its content stays opaque here: only the protocol adapter reads AMQP. */
export interface OfferedMessage {
  /** The key of duplicate detection; a message without one is never a duplicate. */
  readonly messageId?: string;
  readonly ttlMs?: number;
  readonly sessionId?: string;
  /** When it is to be enqueued (epoch milliseconds), if later than now. */
  readonly scheduledFor?: number;
  readonly content: Buffer;
  /** Read only when a rule needs them, since parsing costs more than storing. */
  readonly fields: () => MessageFields;
  /** The same message with other properties. */
  readonly changed: (changes: PropertyChanges) => OfferedMessage;
}

export interface DeadLetter {
  readonly reason?: string | undefined;
  readonly description?: string | undefined;
  /** The queue or subscription the message died in. */
  readonly source: string;
}

/** A message in a queue. Only its delivery state changes; its content never does. */
export interface StoredMessage {
  readonly sequenceNumber: number;
  readonly enqueuedAt: number;
  readonly expiresAt: number | undefined;
  readonly content: Buffer;
  /** Only where the queue has sessions. */
  readonly sessionId: string | undefined;
  /** When it was due, if it was sent for later: receivers are shown it as a scheduled message from then on. */
  readonly scheduledFor: number | undefined;
  /** Failed deliveries so far: 0 at the first delivery. */
  deliveryCount: number;
  deferred: boolean;
  deadLetter: DeadLetter | undefined;
  /** Application properties changed by a settlement, encoded by the adapter. */
  amendments: Buffer | undefined;
}

export interface Lock {
  readonly token: string;
  readonly message: StoredMessage;
  /** The session whose lock this one belongs to: it ends with it. */
  readonly session: HeldSession | undefined;
  lockedUntil: number;
}

/** What a receiver takes messages from: a queue, or a session it holds. */
export interface MessageSource {
  readonly hasReady: boolean;
  /** True once the receiver has lost it, and must be told. */
  readonly lost: boolean;
  lockNext(): Lock | undefined;
  removeNext(): StoredMessage | undefined;
  settle(token: string, settlement: Settlement): boolean;
  /** A receiver is there: an entity that is in use is not deleted for being idle. */
  use(): void;
  /** The receiver is gone. */
  release(): void;
}

/** A new encoding of the amendments, given the earlier ones. */
export type Amend = (earlier: Buffer | undefined) => Buffer;

export type Settlement =
  | { readonly kind: "complete" }
  | { readonly kind: "abandon"; readonly amend?: Amend }
  /** Given back unseen: no failed delivery. */
  | { readonly kind: "release" }
  | { readonly kind: "defer"; readonly amend?: Amend }
  | { readonly kind: "dead-letter"; readonly reason?: string; readonly description?: string; readonly amend?: Amend };
