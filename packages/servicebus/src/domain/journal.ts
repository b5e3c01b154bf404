import type { StoredMessage } from "./message.ts";
import type { RuleDefinition } from "./rule.ts";
import type { ScheduledMessage } from "./schedule.ts";
import type { SequenceCounter } from "./sequence-counter.ts";
import type { SessionState } from "./sessions.ts";

/**
 * What the broker writes down. Calls are collected and become durable together at `commit`; nothing is told to a client
 * before that. A journal that keeps nothing (`volatileJournal`) makes the broker an in-memory one.
 */
export interface Journal {
  insert(queue: string, message: StoredMessage): void;
  /** Delivery count, deferral, dead-letter reason or amendments changed. */
  update(queue: string, message: StoredMessage): void;
  remove(queue: string, sequenceNumber: number): void;
  /** A counter moves on: a number must not be given twice, even after the message is gone. Read when committing. */
  advance(counter: SequenceCounter): void;
  /** A message that a queue or topic is to get later. */
  schedule(entity: string, message: ScheduledMessage): void;
  unschedule(entity: string, sequenceNumber: number): void;
  /** A message id that duplicate detection holds until `expiresAt` (epoch milliseconds). */
  remember(entity: string, messageId: string, expiresAt: number): void;
  forget(entity: string, messageId: string): void;
  /** All rules of a subscription, in place of what was written before. */
  writeRules(subscription: string, rules: readonly RuleDefinition[]): void;
  writeSessionState(queue: string, sessionId: string, state: SessionState | undefined): void;
  /** Everything of an entity that was deleted, its dead letters too. */
  drop(entity: string): void;
  commit(): void;
}

export const volatileJournal: Journal = {
  insert() {},
  update() {},
  remove() {},
  advance() {},
  schedule() {},
  unschedule() {},
  remember() {},
  forget() {},
  writeRules() {},
  writeSessionState() {},
  drop() {},
  commit() {},
};
