import type { StoredMessage } from "./message.ts";

/**
 * What the broker writes down. Calls are collected and become durable together at `commit`; nothing is told to a client
 * before that. A journal that keeps nothing (`volatileJournal`) makes the broker an in-memory one.
 */
export interface Journal {
  insert(queue: string, message: StoredMessage): void;
  /** Delivery count, deferral, dead-letter reason or amendments changed. */
  update(queue: string, message: StoredMessage): void;
  remove(queue: string, sequenceNumber: number): void;
  /** The last sequence number a queue has given out: it must not be given twice, even after the message is gone. */
  advance(queue: string, lastSequenceNumber: number): void;
  /** A message id that duplicate detection holds until `expiresAt` (epoch milliseconds). */
  remember(entity: string, messageId: string, expiresAt: number): void;
  forget(entity: string, messageId: string): void;
  commit(): void;
}

export const volatileJournal: Journal = {
  insert() {},
  update() {},
  remove() {},
  advance() {},
  remember() {},
  forget() {},
  commit() {},
};
