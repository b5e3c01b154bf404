import { Heap } from "./heap.ts";
import type { Journal } from "./journal.ts";
import type { OfferedMessage, StoredMessage } from "./message.ts";

/** A message that waits for its time. Its number is valid until then: the queue gives it a new one. */
export interface ScheduledMessage {
  readonly sequenceNumber: number;
  readonly dueAt: number;
  readonly scheduledAt: number;
  readonly offered: OfferedMessage;
}

/**
 * What was sent to a queue or topic for later. It is no part of any queue yet: rules look at a message, and its time to
 * live begins, when it is due.
 */
export class Schedule {
  readonly #entity: string;
  readonly #journal: Journal;
  readonly #waiting = new Map<number, ScheduledMessage>();
  /** May hold cancelled ones: they are skipped, and swept out when they are in the majority. */
  readonly #byTime = new Heap<ScheduledMessage>(
    (a, b) => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.sequenceNumber < b.sequenceNumber),
  );
  #bytes = 0;

  constructor(options: { entity: string; journal: Journal }) {
    this.#entity = options.entity;
    this.#journal = options.journal;
  }

  get size(): number {
    return this.#waiting.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(message: ScheduledMessage): void {
    this.#journal.schedule(this.#entity, message);
    this.restore(message);
  }

  /** Puts back what an earlier process had scheduled. */
  restore(message: ScheduledMessage): void {
    this.#waiting.set(message.sequenceNumber, message);
    this.#byTime.push(message);
    this.#bytes += message.offered.content.length;
  }

  /** All or none: false when one of them is not scheduled (any more). */
  cancel(sequenceNumbers: readonly number[]): boolean {
    if (!sequenceNumbers.every((at) => this.#waiting.has(at))) return false;
    for (const at of new Set(sequenceNumbers)) this.#remove(this.#waiting.get(at)!);
    if (this.#byTime.size > 64 && this.#byTime.size > 2 * this.size) this.#byTime.retain((one) => this.#holds(one));
    return true;
  }

  nextDue(): number | undefined {
    for (let first = this.#byTime.peek(); first; first = this.#byTime.peek()) {
      if (this.#holds(first)) return first.dueAt;
      this.#byTime.pop();
    }
    return undefined;
  }

  /** Removes the earliest message whose time has come. */
  takeDue(now: number): ScheduledMessage | undefined {
    const dueAt = this.nextDue();
    if (dueAt === undefined || dueAt > now) return undefined;
    const message = this.#byTime.pop()!;
    this.#remove(message);
    return message;
  }

  /** Up to `count` messages from a sequence number on, in order, as a receiver would be shown them. */
  peek(fromSequenceNumber: number, count: number, sessionId?: string): StoredMessage[] {
    const found = [...this.#waiting.values()].filter(
      ({ sequenceNumber, offered }) =>
        sequenceNumber >= fromSequenceNumber && (sessionId === undefined || offered.sessionId === sessionId),
    );
    found.sort((a, b) => a.sequenceNumber - b.sequenceNumber);
    return found.slice(0, count).map(({ sequenceNumber, scheduledAt, offered, dueAt }) => ({
      sequenceNumber,
      enqueuedAt: scheduledAt,
      expiresAt: undefined,
      content: offered.content,
      sessionId: offered.sessionId,
      scheduledFor: dueAt,
      deliveryCount: 0,
      deferred: false,
      deadLetter: undefined,
      amendments: undefined,
    }));
  }

  #holds(message: ScheduledMessage): boolean {
    return this.#waiting.get(message.sequenceNumber) === message;
  }

  #remove(message: ScheduledMessage): void {
    this.#waiting.delete(message.sequenceNumber);
    this.#bytes -= message.offered.content.length;
    this.#journal.unschedule(this.#entity, message.sequenceNumber);
  }
}
