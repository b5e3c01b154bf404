import type { OfferedMessage, StoredMessage } from "./message.ts";
import { MessageProperties } from "./message-properties.ts";
import type { MessageQueue, Origin, Surroundings } from "./queue.ts";
import type { Refusal, Target } from "./target.ts";

/** Azure's: how many queues and topics a message may be forwarded through. */
const MAX_HOPS = 4;
const TOO_MANY_HOPS = {
  reason: "MaxTransferHopCountExceeded",
  description: `The message was forwarded ${MAX_HOPS} times, which is the limit; do the entities forward in a circle?`,
};

/** The entities messages are routed between. */
interface Entities {
  readonly targets: Iterable<Target>;
  readonly queues: Iterable<MessageQueue>;
  target(name: string): Target | undefined;
}

/** Where a message goes: into a queue, by rules into subscriptions, into the schedule, onward where an entity forwards. */
export class Routing {
  readonly #entities: Entities;
  readonly #around: Surroundings;

  constructor(options: { entities: Entities; around: Surroundings }) {
    this.#entities = options.entities;
    this.#around = options.around;
  }

  /**
   * Stores messages in every queue that takes them, or schedules them, all or none; a duplicate is accepted and not stored.
   * @returns why nothing was stored, if so
   */
  send(target: Target, offered: readonly OfferedMessage[]): Refusal | undefined {
    const refusal = this.#refusal(target, offered);
    if (refusal) return refusal;
    const now = this.#around.now();
    for (const message of offered) this.#accept(target, this.#identified(target, message), now);
    return undefined;
  }

  /** As `send`; answers a number for each message, by which it can be cancelled until it is due. */
  schedule(target: Target, offered: readonly OfferedMessage[]): number[] | Refusal {
    const refusal = this.#refusal(target, offered);
    if (refusal) return refusal;
    const now = this.#around.now();
    return offered.map(
      (message) => this.#accept(target, this.#identified(target, message), now) ?? target.numbers.next(),
    );
  }

  /** Moves what is due into the queues. */
  releaseScheduled(): void {
    const now = this.#around.now();
    for (const target of this.#entities.targets) {
      for (let due = target.schedule.takeDue(now); due; due = target.schedule.takeDue(now)) {
        this.#distribute(target, due.offered, 0, { scheduledFor: due.dueAt });
      }
    }
  }

  /** When the next scheduled message is due, if there is any. */
  nextDue(): number | undefined {
    let earliest: number | undefined;
    for (const { schedule } of this.#entities.targets) {
      const dueAt = schedule.nextDue();
      if (dueAt !== undefined && (earliest === undefined || dueAt < earliest)) earliest = dueAt;
    }
    return earliest;
  }

  #refusal(target: Target, offered: readonly OfferedMessage[]): Refusal | undefined {
    target.usedAt = this.#around.now();
    if (target.sendDisabled) return "disabled";
    if (target.requiresSession && offered.some(({ sessionId }) => sessionId === undefined)) return "session-missing";
    return this.#hasRoom(target, offered) ? undefined : "full";
  }

  /** What is scheduled counts as stored wherever it will go, so that there is room when it is due. */
  #hasRoom(target: Target, offered: readonly OfferedMessage[]): boolean {
    let bytes = 0;
    for (const message of offered) bytes += message.content.length;
    const reserved = bytes + target.schedule.bytes;
    return (
      reserved <= target.maxBytes &&
      target.branches.every(({ queue, rules }) =>
        queue.hasRoomFor((queue.schedule ? bytes : reserved) * (rules?.copiesAtMost ?? 1)),
      )
    );
  }

  #identified(target: Target, message: OfferedMessage): OfferedMessage {
    if (!target.assignsMessageIds || message.messageId !== undefined) return message;
    return message.changed({ system: new Map([["messageId", this.#around.newLockToken()]]), user: new Map() });
  }

  /** The number of a message that was scheduled or went to a queue; of others nobody asks. */
  #accept(target: Target, message: OfferedMessage, now: number): number | undefined {
    if (target.history && !target.history.admit(message.messageId, now)) return undefined;
    const dueAt = message.scheduledFor;
    if (dueAt === undefined || dueAt <= now) return this.#distribute(target, message, 0);
    const sequenceNumber = target.numbers.next();
    target.schedule.add({ sequenceNumber, dueAt, scheduledAt: now, offered: message });
    return sequenceNumber;
  }

  /** Gives a message to the queues that take it; `hops` is how often it was forwarded before. */
  #distribute(target: Target, message: OfferedMessage, hops: number, origin?: Origin): number | undefined {
    let number: number | undefined;
    let properties: MessageProperties | undefined;
    for (const { queue, rules } of target.branches) {
      if (!rules || rules.takesEverything) {
        const stored = this.#enter(queue, message, hops, origin);
        if (queue.numbers === target.numbers) number = stored?.sequenceNumber;
        continue;
      }
      const read = () => {
        properties ??= new MessageProperties(message.fields());
        return properties;
      };
      for (const copy of rules.copiesOf(message, read)) this.#enter(queue, copy, hops, origin);
    }
    return number;
  }

  /** Stores a message in a queue, or passes it on where the queue forwards. */
  #enter(queue: MessageQueue, message: OfferedMessage, hops: number, origin?: Origin): StoredMessage | undefined {
    if (queue.settings.forwardTo === undefined) return queue.enqueue(message, origin);
    const hindrance = hops >= MAX_HOPS ? TOO_MANY_HOPS : this.#hindrance(queue.settings.forwardTo);
    if (hindrance) {
      queue.refuseTransfer(message, hindrance, origin);
      return undefined;
    }
    // What is there already goes first, and what finds no room waits here, as in Azure.
    const forwarded = !queue.hasReady && this.forward(queue.settings.forwardTo, message, hops + 1, origin);
    return forwarded ? undefined : queue.enqueue(message, origin);
  }

  /** Why nothing can be passed on to there, other than that there is no room for now. */
  #hindrance(to: string): { reason: string; description: string } | undefined {
    if (!this.#entities.target(to)?.sendDisabled) return undefined;
    return { reason: "MessagingEntityDisabled", description: `${to} is disabled, and takes no messages.` };
  }

  /** False when the destination has no room. */
  forward(to: string, message: OfferedMessage, hops: number, origin?: Origin): boolean {
    const target = this.#entities.target(to);
    if (!target || target.sendDisabled || !this.#hasRoom(target, [message])) return false;
    if (target.history && !target.history.admit(message.messageId, this.#around.now())) return true;
    this.#distribute(target, message, hops, origin);
    return true;
  }

  /** Passes on what has found no room before, or was there before the queue forwarded. */
  forwardWaiting(): void {
    for (const queue of this.#entities.queues) {
      const { forwardTo } = queue.settings;
      const target = forwardTo === undefined ? undefined : this.#entities.target(forwardTo);
      if (!target) continue;
      for (let next = queue.first(); next; next = queue.first()) {
        const message = this.#around.read(next.content);
        if (target.sendDisabled || !this.#hasRoom(target, [message])) break;
        queue.removeNext();
        this.forward(forwardTo!, message, 1, next);
      }
    }
  }
}
