import type { Journal } from "./journal.ts";
import { LockTable } from "./lock-table.ts";
import type { DeadLetter, Lock, MessageSource, OfferedMessage, Settlement, StoredMessage } from "./message.ts";
import type { Schedule } from "./schedule.ts";
import { SequenceCounter } from "./sequence-counter.ts";
import { SequenceQueue } from "./sequence-queue.ts";
import { type HeldSession, Sessions } from "./sessions.ts";

export interface QueueSettings {
  readonly lockDurationMs: number;
  /** Failed deliveries after which a message is dead-lettered; `undefined` in a dead-letter queue, which keeps it. */
  readonly maxDeliveryCount: number | undefined;
  readonly defaultTtlMs: number | undefined;
  readonly deadLetterExpired: boolean;
  /** Messages belong to sessions, and a receiver holds one of those. */
  readonly requiresSession: boolean;
  readonly maxBytes: number;
  /** Its messages are kept from receivers for now. */
  readonly receiveDisabled: boolean;
  /** The queue or topic that gets what comes in here. */
  readonly forwardTo?: string;
  /** The queue or topic that gets this queue's dead letters. */
  readonly forwardDeadLettersTo?: string;
}

/** What a message brings from where it was before. */
export interface Origin {
  /** When it was due, if it has waited for its time. */
  readonly scheduledFor?: number;
  readonly deadLetter?: DeadLetter;
  readonly amendments?: Buffer;
}

export interface QueueCounts {
  readonly active: number;
  readonly locked: number;
  readonly deferred: number;
  readonly deadLettered: number;
  readonly transferDeadLettered: number;
  /** Sent for later: not in the queue yet, and in none of the other counts but `bytes`. */
  readonly scheduled: number;
  /** Messages ever accepted. */
  readonly enqueued: number;
  readonly bytes: number;
}

export interface Surroundings {
  readonly now: () => number;
  readonly newLockToken: () => string;
  readonly journal: Journal;
  /** Stored content as it was offered. */
  readonly read: (content: Buffer) => OfferedMessage;
}

/**
 * The state machine of one queue, subscription or dead-letter queue: waiting → locked → gone, waiting again, deferred or
 * dead-lettered. It owns no timer and does no I/O: time is asked for, and what must survive goes to the journal.
 */
export class MessageQueue implements MessageSource {
  readonly name: string;
  #settings: QueueSettings;
  readonly deadLetterQueue: MessageQueue | undefined;
  /** What this queue could not pass on to where it forwards. */
  readonly transferDeadLetterQueue: MessageQueue | undefined;
  /** Messages sent to this queue for later; a subscription has none, since they wait in its topic. */
  readonly schedule: Schedule | undefined;
  readonly numbers: SequenceCounter;
  /** Only where the queue requires sessions: then receivers take messages from one of these. */
  readonly sessions: Sessions | undefined;
  readonly #around: Surroundings;
  readonly #forwardDeadLetter: (message: StoredMessage) => boolean;
  readonly #messages = new Map<number, StoredMessage>();
  readonly #ready = new SequenceQueue();
  readonly #locks = new LockTable();
  #retired = false;
  #usedAt: number | undefined;
  #deferredCount = 0;
  #mortalCount = 0;
  #bytes = 0;

  constructor(options: {
    name: string;
    settings: QueueSettings;
    around: Surroundings;
    deadLetterQueue?: MessageQueue;
    transferDeadLetterQueue?: MessageQueue;
    schedule?: Schedule;
    /** Takes a dead letter elsewhere, if it can. */
    forwardDeadLetter?: (message: StoredMessage) => boolean;
  }) {
    this.name = options.name;
    this.#settings = options.settings;
    this.#around = options.around;
    this.deadLetterQueue = options.deadLetterQueue;
    this.transferDeadLetterQueue = options.transferDeadLetterQueue;
    this.schedule = options.schedule;
    this.#forwardDeadLetter = options.forwardDeadLetter ?? (() => false);
    const { journal, now } = options.around;
    this.numbers = new SequenceCounter({ name: options.name, journal });
    this.sessions = options.settings.requiresSession ? new Sessions({ queue: this, journal, now }) : undefined;
  }

  get settings(): QueueSettings {
    return this.#settings;
  }

  /** New settings count from the next message, delivery or lock on; whether there are sessions cannot be changed. */
  reconfigure(settings: QueueSettings): void {
    if (settings.lockDurationMs !== this.#settings.lockDurationMs) this.#locks.changeDuration();
    this.#settings = settings;
  }

  /** The queue was deleted: its receivers are told, and nothing more happens here. */
  retire(): void {
    this.#retired = true;
  }

  /** A receiver is there, or has asked for something. */
  use(): void {
    this.#usedAt = this.#around.now();
  }

  /** When a receiver last used it (epoch milliseconds), in this process. */
  get usedAt(): number | undefined {
    return this.#usedAt;
  }

  get hasReady(): boolean {
    return this.#ready.size > 0;
  }

  get lost(): boolean {
    return this.#retired || this.#settings.receiveDisabled;
  }

  /** It was deleted: nothing more happens here. */
  get retired(): boolean {
    return this.#retired;
  }

  /** Locks live on without the receiver they were given to. */
  release(): void {}

  counts(): QueueCounts {
    return {
      active: this.#messages.size - this.#deferredCount,
      locked: this.#locks.size,
      deferred: this.#deferredCount,
      deadLettered: this.deadLetterQueue?.counts().active ?? 0,
      transferDeadLettered: this.transferDeadLetterQueue?.counts().active ?? 0,
      scheduled: this.schedule?.size ?? 0,
      enqueued: this.numbers.enqueued,
      bytes: this.#bytes + (this.schedule?.bytes ?? 0),
    };
  }

  hasRoomFor(bytes: number): boolean {
    return this.#bytes + (this.schedule?.bytes ?? 0) + bytes <= this.settings.maxBytes;
  }

  enqueue(offered: OfferedMessage, origin?: Origin): StoredMessage {
    const message = this.#newMessage(offered, origin);
    // Such a dead letter is not forwarded: where entities forward in a circle, it would come back for ever.
    if (this.sessions && message.sessionId === undefined) this.#keepDead(message, NO_SESSION, this.deadLetterQueue!);
    else this.#add(message);
    return message;
  }

  /** Stores a message that this queue cannot pass on among its transfer dead letters. */
  refuseTransfer(offered: OfferedMessage, why: Refused, origin?: Origin): void {
    this.#keepDead(this.#newMessage(offered, origin), why, this.transferDeadLetterQueue!);
  }

  /** The message that `removeNext` would take. */
  first(): StoredMessage | undefined {
    for (let at = this.#ready.peek(); at !== undefined; at = this.#ready.peek()) {
      if (this.isWaiting(at)) return this.#messages.get(at);
      this.#ready.shift();
    }
    return undefined;
  }

  /** The next message that has not expired, locked for the taker. */
  lockNext(session?: HeldSession): Lock | undefined {
    const message = this.#nextReady(session?.ready ?? this.#ready);
    return message && this.#lock(message, session);
  }

  /** The next message that has not expired, removed: at most once, as the taker asked for. */
  removeNext(session?: HeldSession): StoredMessage | undefined {
    const message = this.#nextReady(session?.ready ?? this.#ready);
    if (message) this.#remove(message);
    return message;
  }

  /**
   * Locks the deferred messages among `sequenceNumbers`; those not deferred, locked already or of another session are left
   * out.
   */
  lockDeferred(sequenceNumbers: readonly number[], session?: HeldSession): Lock[] {
    const locked = this.#locks.messages();
    const found = sequenceNumbers.filter((at) => {
      const message = this.#messages.get(at);
      return message?.deferred && !locked.has(message) && message.sessionId === session?.id;
    });
    return [...new Set(found)].map((at) => this.#lock(this.#messages.get(at)!, session));
  }

  /** False when the lock is not held (any more): then nothing has changed. */
  settle(token: string, settlement: Settlement): boolean {
    const lock = this.#locks.get(token);
    if (!lock || lock.lockedUntil <= this.#around.now() || this.#retired) return false;
    this.#unlock(lock);
    const { message } = lock;
    if (settlement.kind === "complete") {
      this.#remove(message);
      return true;
    }
    if (settlement.kind === "release") {
      if (!message.deferred) this.#putBack(message);
      return true;
    }
    if (settlement.amend) message.amendments = settlement.amend(message.amendments);
    if (settlement.kind === "dead-letter" && this.deadLetterQueue) {
      this.#bury(message, { reason: settlement.reason, description: settlement.description, source: this.name });
    } else if (settlement.kind === "defer") {
      message.deliveryCount++;
      this.#setDeferred(message);
      this.#around.journal.update(this.name, message);
    } else {
      this.#failDelivery(message);
    }
    return true;
  }

  /** The new expiry (epoch milliseconds), or undefined when the lock is not held. */
  renew(token: string): number | undefined {
    const lock = this.#locks.get(token);
    const now = this.#around.now();
    if (!lock || lock.lockedUntil <= now || lock.session) return undefined;
    this.#locks.renew(lock, now + this.settings.lockDurationMs);
    return lock.lockedUntil;
  }

  /** Takes back messages whose lock ran out; answers how many. */
  releaseExpiredLocks(): number {
    if (this.sessions) return this.sessions.releaseExpired();
    let released = 0;
    for (const lock of this.#locks.expired(this.#around.now())) {
      this.#unlock(lock);
      this.#failDelivery(lock.message);
      released++;
    }
    return released;
  }

  /**
   * Removes what has outlived its time to live, so that a queue nobody reads does not fill up; a locked message is left
   * to its receiver. Walks the whole queue: for a now-and-then call.
   */
  expireMessages(): void {
    if (this.#mortalCount === 0) return;
    const now = this.#around.now();
    const locked = this.#locks.messages();
    for (const message of this.#messages.values()) {
      if (message.expiresAt !== undefined && message.expiresAt <= now && !locked.has(message)) this.#expire(message);
    }
    this.sessions?.forgetEmpty();
  }

  /** Whether a message is still there, and not past its time. */
  isWaiting(sequenceNumber: number): boolean {
    const message = this.#messages.get(sequenceNumber);
    if (!message) return false;
    if (message.expiresAt === undefined || message.expiresAt > this.#around.now()) return true;
    this.#expire(message);
    return false;
  }

  /** For its sessions: takes back a message whose session's lock has ended. */
  giveBack(lock: Lock, failed: boolean): void {
    this.#unlock(lock);
    if (failed) this.#failDelivery(lock.message);
    else if (!lock.message.deferred) this.#putBack(lock.message);
  }

  /**
   * Deletes up to `count` waiting messages that came before a time, the oldest first; those locked, deferred or scheduled
   * stay. Answers how many.
   */
  deleteBefore(time: number, count: number, session?: HeldSession): number {
    const ready = session?.ready ?? this.#ready;
    let deleted = 0;
    for (let at = ready.peek(); at !== undefined && deleted < count; at = ready.peek()) {
      const message = this.#messages.get(at);
      if (message && message.enqueuedAt >= time) break;
      ready.shift();
      if (!message) continue;
      this.#remove(message);
      deleted++;
    }
    return deleted;
  }

  /** When the next lock runs out, if any is held. */
  nextLockExpiry(): number | undefined {
    if (this.sessions) return this.sessions.nextExpiry();
    return this.#locks.nextExpiry();
  }

  /**
   * Up to `count` messages from a sequence number on, without locking; locked, deferred and scheduled ones are shown too.
   */
  peek(fromSequenceNumber: number, count: number, sessionId?: string): StoredMessage[] {
    const inSession = (at: number) => sessionId === undefined || this.#messages.get(at)!.sessionId === sessionId;
    const found = [...this.#messages.keys()].filter((at) => at >= fromSequenceNumber && inSession(at));
    found.sort((a, b) => a - b);
    const here = found.slice(0, count).map((at) => this.#messages.get(at)!);
    const scheduled = this.schedule?.peek(fromSequenceNumber, count, sessionId) ?? [];
    if (scheduled.length === 0) return here;
    return [...here, ...scheduled].sort((a, b) => a.sequenceNumber - b.sequenceNumber).slice(0, count);
  }

  /** Puts back what an earlier process had stored, in order of sequence number. */
  restore(message: StoredMessage): void {
    this.#store(message);
  }

  #keepDead(message: StoredMessage, why: Refused, where: MessageQueue): void {
    where.#add(asDeadLetter(message, { ...why, source: this.name }));
  }

  #newMessage(offered: OfferedMessage, origin: Origin | undefined): StoredMessage {
    const now = this.#around.now();
    // A dead letter's own time may be what has run out: where it is forwarded to, it must not vanish for that.
    const ownTtlMs = origin?.deadLetter ? undefined : offered.ttlMs;
    const ttlMs = Math.min(
      ownTtlMs ?? Number.POSITIVE_INFINITY,
      this.settings.defaultTtlMs ?? Number.POSITIVE_INFINITY,
    );
    return {
      sequenceNumber: this.numbers.next(),
      enqueuedAt: now,
      expiresAt: Number.isFinite(ttlMs) ? now + ttlMs : undefined,
      content: offered.content,
      sessionId: this.sessions && offered.sessionId,
      scheduledFor: origin?.scheduledFor,
      deliveryCount: 0,
      deferred: false,
      deadLetter: origin?.deadLetter,
      amendments: origin?.amendments,
    };
  }

  #nextReady(ready: SequenceQueue): StoredMessage | undefined {
    for (let at = ready.shift(); at !== undefined; at = ready.shift()) {
      const message = this.#messages.get(at);
      if (!message) continue; // expired while it waited
      if (message.expiresAt === undefined || message.expiresAt > this.#around.now()) return message;
      this.#expire(message);
    }
    return undefined;
  }

  #expire(message: StoredMessage): void {
    if (this.settings.deadLetterExpired && this.deadLetterQueue) {
      this.#bury(message, {
        reason: "TTLExpiredException",
        description: "The message expired and was dead lettered.",
        source: this.name,
      });
    } else this.#remove(message);
  }

  #lock(message: StoredMessage, session: HeldSession | undefined): Lock {
    const token = this.#around.newLockToken();
    const lockedUntil = session?.lockedUntil ?? this.#around.now() + this.settings.lockDurationMs;
    const lock = { token, message, session, lockedUntil };
    this.#locks.add(lock);
    session?.locks.add(lock);
    return lock;
  }

  #unlock(lock: Lock): void {
    this.#locks.remove(lock);
    lock.session?.locks.delete(lock);
  }

  #putBack(message: StoredMessage): void {
    if (this.sessions) this.sessions.putBack(message);
    else this.#ready.putBack(message.sequenceNumber);
  }

  #failDelivery(message: StoredMessage): void {
    const limit = this.settings.maxDeliveryCount;
    if (limit !== undefined) message.deliveryCount++;
    if (limit !== undefined && message.deliveryCount >= limit && this.deadLetterQueue) {
      this.#bury(message, {
        reason: "MaxDeliveryCountExceeded",
        description: `Message could not be consumed after ${message.deliveryCount} delivery attempts.`,
        source: this.name,
      });
      return;
    }
    this.#around.journal.update(this.name, message);
    if (!message.deferred) this.#putBack(message);
  }

  #setDeferred(message: StoredMessage): void {
    if (!message.deferred) this.#deferredCount++;
    message.deferred = true;
  }

  #bury(message: StoredMessage, deadLetter: DeadLetter): void {
    this.#remove(message);
    const dead = asDeadLetter(message, deadLetter);
    if (!this.#forwardDeadLetter(dead)) this.deadLetterQueue!.#add(dead);
  }

  #add(message: StoredMessage): void {
    this.#around.journal.insert(this.name, message);
    this.numbers.enqueued++;
    this.#store(message);
  }

  #store(message: StoredMessage): void {
    this.#messages.set(message.sequenceNumber, message);
    this.#bytes += message.content.length;
    if (message.expiresAt !== undefined) this.#mortalCount++;
    if (message.deferred) this.#deferredCount++;
    else if (this.sessions) this.sessions.append(message);
    else this.#ready.append(message.sequenceNumber);
  }

  #remove(message: StoredMessage): void {
    this.#messages.delete(message.sequenceNumber);
    this.#bytes -= message.content.length;
    if (message.expiresAt !== undefined) this.#mortalCount--;
    if (message.deferred) this.#deferredCount--;
    this.#around.journal.remove(this.name, message.sequenceNumber);
  }
}

type Refused = Omit<DeadLetter, "source">;

const asDeadLetter = (message: StoredMessage, deadLetter: DeadLetter): StoredMessage => ({
  ...message,
  sessionId: undefined,
  expiresAt: undefined,
  deferred: false,
  deadLetter,
});

/** In Azure's words; only a subscription gets such a message, since a queue refuses it. */
const NO_SESSION = {
  reason: "Session ID is null.",
  description: "Session enabled entity doesn't allow a message whose session identifier is null.",
};
