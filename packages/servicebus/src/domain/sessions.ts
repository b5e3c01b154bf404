import type { Journal } from "./journal.ts";
import type { Lock, MessageSource, Settlement, StoredMessage } from "./message.ts";
import type { MessageQueue } from "./queue.ts";
import { SequenceQueue } from "./sequence-queue.ts";

/** What is kept of a session besides its messages. */
export interface SessionState {
  readonly state: Buffer;
  readonly updatedAt: number;
}

interface Session {
  readonly id: string;
  readonly ready: SequenceQueue;
  holder: HeldSession | undefined;
  kept: SessionState | undefined;
}

/**
 * The sessions of a queue: messages of one session go, in order, to the one receiver that holds it. A session is there
 * while it has messages waiting, a state or a holder; its lock covers all its messages, and is not persistent.
 */
export class Sessions {
  readonly #queue: MessageQueue;
  readonly #journal: Journal;
  readonly #now: () => number;
  readonly #all = new Map<string, Session>();
  /** Those that nobody holds and that have messages, first come first served. */
  readonly #available = new Set<Session>();
  readonly #held = new Map<string, HeldSession>();

  constructor(options: { queue: MessageQueue; journal: Journal; now: () => number }) {
    this.#queue = options.queue;
    this.#journal = options.journal;
    this.#now = options.now;
  }

  append(message: StoredMessage): void {
    this.#ready(message).append(message.sequenceNumber);
  }

  putBack(message: StoredMessage): void {
    this.#ready(message).putBack(message.sequenceNumber);
  }

  /** A lock on that session, which need not have messages; undefined while another receiver holds it. */
  accept(id: string): HeldSession | undefined {
    const session = this.#session(id);
    return session.holder ? undefined : this.#hold(session);
  }

  /** A lock on the session that has waited longest, if any has messages and no holder. */
  acceptNext(): HeldSession | undefined {
    this.forgetEmpty();
    for (const session of this.#available) return this.#hold(session);
    return undefined;
  }

  held(id: string): HeldSession | undefined {
    const held = this.#held.get(id);
    return held && held.lockedUntil > this.#now() ? held : undefined;
  }

  /** The new expiry (epoch milliseconds), or undefined when nobody holds the session. */
  renew(id: string): number | undefined {
    const held = this.held(id);
    if (!held) return undefined;
    held.lockedUntil = this.#now() + this.#queue.settings.lockDurationMs;
    for (const lock of held.locks) lock.lockedUntil = held.lockedUntil;
    return held.lockedUntil;
  }

  nextExpiry(): number | undefined {
    let earliest: number | undefined;
    for (const { lockedUntil } of this.#held.values()) {
      if (earliest === undefined || lockedUntil < earliest) earliest = lockedUntil;
    }
    return earliest;
  }

  /** Takes back the sessions whose lock ran out, as failed deliveries of their messages; answers of how many messages. */
  releaseExpired(): number {
    const now = this.#now();
    let released = 0;
    for (const held of this.#held.values()) {
      if (held.lockedUntil > now) continue;
      released += held.locks.size;
      this.#end(held, true);
    }
    return released;
  }

  /** Ends a lock early: its messages are there again as if they had not been delivered, which is what Azure does. */
  release(held: HeldSession): void {
    if (this.#held.get(held.id) === held) this.#end(held, false);
  }

  state(id: string): Buffer | undefined {
    return this.#all.get(id)?.kept?.state;
  }

  setState(id: string, state: Buffer | undefined): void {
    const kept = state && { state, updatedAt: this.#now() };
    const session = this.#session(id);
    session.kept = kept;
    this.#journal.writeSessionState(this.#queue.name, id, kept);
    this.#forgetIfEmpty(session);
  }

  restoreState(id: string, kept: SessionState): void {
    this.#session(id).kept = kept;
  }

  withMessagesOrState(): string[] {
    const found = [...this.#all.values()].filter((session) => {
      this.#dropExpired(session);
      return session.ready.size > 0 || session.holder?.locks.size || session.kept;
    });
    return found.map(({ id }) => id);
  }

  withStateSince(time: number): string[] {
    return [...this.#all.values()]
      .filter(({ kept }) => kept !== undefined && kept.updatedAt > time)
      .map(({ id }) => id);
  }

  /** Forgets sessions whose messages have all expired. */
  forgetEmpty(): void {
    for (const session of this.#available) {
      this.#dropExpired(session);
      if (session.ready.size > 0) return; // the next in line is all that matters
      this.#available.delete(session);
      this.#forgetIfEmpty(session);
    }
  }

  /** What expired is in line until it is met: after this, the first in line has not, or nobody is. */
  #dropExpired({ ready }: Session): void {
    for (let at = ready.peek(); at !== undefined && !this.#queue.isWaiting(at); at = ready.peek()) ready.shift();
  }

  #ready({ sessionId }: StoredMessage): SequenceQueue {
    const session = this.#session(sessionId!);
    if (!session.holder) this.#available.add(session);
    return session.ready;
  }

  #session(id: string): Session {
    const known = this.#all.get(id);
    if (known) return known;
    const session: Session = { id, ready: new SequenceQueue(), holder: undefined, kept: undefined };
    this.#all.set(id, session);
    return session;
  }

  #hold(session: Session): HeldSession {
    const { id, ready } = session;
    const lockedUntil = this.#now() + this.#queue.settings.lockDurationMs;
    const held = new HeldSession({ id, ready, lockedUntil, queue: this.#queue });
    session.holder = held;
    this.#available.delete(session);
    this.#held.set(id, held);
    return held;
  }

  #end(held: HeldSession, expired: boolean): void {
    const session = this.#session(held.id);
    this.#held.delete(held.id);
    session.holder = undefined;
    held.end(expired);
    for (const lock of [...held.locks]) this.#queue.giveBack(lock, expired);
    if (session.ready.size > 0) this.#available.add(session);
    else this.#forgetIfEmpty(session);
  }

  #forgetIfEmpty(session: Session): void {
    if (!session.holder && !session.kept && session.ready.size === 0) this.#all.delete(session.id);
  }
}

/** A session as the receiver that holds it sees it: a queue of its own. */
export class HeldSession implements MessageSource {
  readonly id: string;
  readonly ready: SequenceQueue;
  /** On the messages delivered and not settled. */
  readonly locks = new Set<Lock>();
  lockedUntil: number;
  readonly #queue: MessageQueue;
  #ended: "released" | "lost" | undefined;

  constructor(options: { id: string; ready: SequenceQueue; lockedUntil: number; queue: MessageQueue }) {
    this.id = options.id;
    this.ready = options.ready;
    this.lockedUntil = options.lockedUntil;
    this.#queue = options.queue;
  }

  get hasReady(): boolean {
    return this.#ended === undefined && this.ready.size > 0;
  }

  /** True once the lock has run out: its receiver must be told. */
  get lost(): boolean {
    return this.#ended === "lost" || this.#queue.lost;
  }

  lockNext(): Lock | undefined {
    return this.#ended ? undefined : this.#queue.lockNext(this);
  }

  removeNext(): StoredMessage | undefined {
    return this.#ended ? undefined : this.#queue.removeNext(this);
  }

  settle(token: string, settlement: Settlement): boolean {
    return this.#queue.settle(token, settlement);
  }

  use(): void {
    this.#queue.use();
  }

  /** Its lock runs out before its time. */
  expireNow(): void {
    this.lockedUntil = 0;
    for (const lock of this.locks) lock.lockedUntil = 0;
  }

  release(): void {
    this.#queue.sessions?.release(this);
  }

  end(expired: boolean): void {
    this.#ended = expired ? "lost" : "released";
  }
}
