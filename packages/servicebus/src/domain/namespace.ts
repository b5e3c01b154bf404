import { DuplicateHistory } from "./duplicate-history.ts";
import type { OfferedMessage, StoredMessage } from "./message.ts";
import { MessageProperties } from "./message-properties.ts";
import { MessageQueue, type Origin, type QueueSettings, type Surroundings } from "./queue.ts";
import type { RuleDefinition } from "./rule.ts";
import { RuleSet } from "./rule-set.ts";
import { Schedule } from "./schedule.ts";
import { SequenceCounter } from "./sequence-counter.ts";

export interface QueuePlan {
  readonly name: string;
  readonly settings: QueueSettings;
  readonly duplicateWindowMs: number | undefined;
  readonly maxMessageBytes: number;
  readonly sendDisabled: boolean;
  readonly assignsMessageIds: boolean;
}

export interface SubscriptionPlan {
  readonly name: string;
  readonly settings: QueueSettings;
  readonly rules: readonly RuleDefinition[];
}

export interface TopicPlan {
  readonly name: string;
  readonly subscriptions: readonly SubscriptionPlan[];
  readonly duplicateWindowMs: number | undefined;
  readonly maxMessageBytes: number;
  readonly maxBytes: number;
  readonly sendDisabled: boolean;
  readonly assignsMessageIds: boolean;
}

export interface NamespacePlan {
  readonly queues: readonly QueuePlan[];
  readonly topics: readonly TopicPlan[];
}

/** Where messages are sent: a queue is a target with one queue that takes everything. */
export interface Target {
  readonly name: string;
  maxMessageBytes: number;
  maxBytes: number;
  /** It takes no messages for now. */
  sendDisabled: boolean;
  /** A message without an id gets one. */
  readonly assignsMessageIds: boolean;
  /** When something was last sent here (epoch milliseconds), by this process. */
  usedAt: number | undefined;
  readonly history: DuplicateHistory | undefined;
  readonly schedule: Schedule;
  /** A queue with sessions refuses a message without one; a topic leaves that to its subscriptions. */
  readonly requiresSession: boolean;
  /** A queue's own; a topic needs numbers only for what is scheduled. */
  readonly numbers: SequenceCounter;
  branches: readonly Branch[];
}

/** Why nothing of what was sent is stored. */
export type Refusal = "full" | "session-missing" | "disabled";

/** A queue that gets what a target is sent: everything, or what a subscription's rules say. */
interface Branch {
  readonly queue: MessageQueue;
  readonly rules: RuleSet | undefined;
}

const DEAD_LETTER = "/$deadletterqueue";
/** Azure's: how many queues and topics a message may be forwarded through. */
const MAX_HOPS = 4;
const TOO_MANY_HOPS = {
  reason: "MaxTransferHopCountExceeded",
  description: `The message was forwarded ${MAX_HOPS} times, which is the limit; do the entities forward in a circle?`,
};

/** All entities of one namespace, by name; names are compared without case, as Azure does. */
export class Namespace {
  readonly #around: Surroundings;
  readonly #targets = new Map<string, Target>();
  readonly #queues = new Map<string, MessageQueue>();
  readonly #rules = new Map<string, RuleSet>();

  constructor(plan: NamespacePlan, around: Surroundings) {
    this.#around = around;
    this.apply(plan);
  }

  /**
   * Makes the namespace what a plan says: entities come, change and go with all they hold. Whether an entity has sessions
   * or detects duplicates cannot be changed, and the rules of a subscription that exists are its own.
   */
  apply(plan: NamespacePlan): void {
    const planned = new Set([...plan.queues, ...plan.topics].map(({ name }) => name.toLowerCase()));
    for (const target of [...this.#targets.values()]) if (!planned.has(target.name.toLowerCase())) this.#remove(target);
    for (const queue of plan.queues) this.#applyQueue(queue);
    for (const topic of plan.topics) this.#applyTopic(topic);
  }

  #applyQueue(plan: QueuePlan): void {
    const { name, settings, duplicateWindowMs } = plan;
    const { maxBytes, requiresSession } = settings;
    const existing = this.target(name);
    if (existing) {
      this.#reconfigure(this.queue(name)!, settings);
      this.#update(existing, { ...plan, maxBytes });
      return;
    }
    const schedule = new Schedule({ entity: name, journal: this.#around.journal });
    const queue = this.#addQueue(name, settings, schedule);
    const { numbers } = queue;
    const branches = [{ queue, rules: undefined }];
    const target = { ...plan, maxBytes, requiresSession, schedule, numbers, branches };
    this.#addTarget(target, duplicateWindowMs);
  }

  #applyTopic(plan: TopicPlan): void {
    const { name, subscriptions, duplicateWindowMs } = plan;
    const { journal } = this.#around;
    if (!this.target(name)) {
      const schedule = new Schedule({ entity: name, journal });
      const numbers = new SequenceCounter({ name, journal });
      const target = { ...plan, requiresSession: false, schedule, numbers, branches: [] };
      this.#addTarget(target, duplicateWindowMs);
    }
    const target = this.target(name)!;
    this.#update(target, plan);
    const before = new Set(target.branches.map(({ queue }) => queue));
    target.branches = subscriptions.map((plan) => {
      const path = `${name}/Subscriptions/${plan.name}`;
      const queue = this.queue(path);
      if (!queue) return this.#addSubscription(name, plan);
      before.delete(queue);
      this.#reconfigure(queue, plan.settings);
      return { queue, rules: this.rules(path) };
    });
    for (const gone of before) this.#removeQueue(gone);
  }

  #update(
    target: Target,
    plan: Pick<TopicPlan, "maxMessageBytes" | "maxBytes" | "sendDisabled" | "duplicateWindowMs">,
  ): void {
    target.sendDisabled = plan.sendDisabled;
    target.maxMessageBytes = plan.maxMessageBytes;
    target.maxBytes = plan.maxBytes;
    if (target.history && plan.duplicateWindowMs !== undefined) target.history.windowMs = plan.duplicateWindowMs;
  }

  #reconfigure(queue: MessageQueue, settings: QueueSettings): void {
    queue.reconfigure(settings);
    queue.deadLetterQueue!.reconfigure(ofDeadLetters(settings));
  }

  #remove(target: Target): void {
    this.#targets.delete(target.name.toLowerCase());
    for (const { queue } of target.branches) this.#removeQueue(queue);
    this.#around.journal.drop(target.name);
  }

  #removeQueue(queue: MessageQueue): void {
    for (const gone of [queue, queue.deadLetterQueue!]) {
      gone.retire();
      this.#queues.delete(gone.name.toLowerCase());
    }
    this.#rules.delete(queue.name.toLowerCase());
    this.#around.journal.drop(queue.name);
  }

  /** The queue, subscription (`topic/Subscriptions/name`) or dead-letter queue of that name. */
  queue(name: string): MessageQueue | undefined {
    return this.#queues.get(name.toLowerCase());
  }

  /** The queue or topic of that name. */
  target(name: string): Target | undefined {
    return this.#targets.get(name.toLowerCase());
  }

  /** When a queue, topic or subscription was last used (epoch milliseconds), if it was since the process began. */
  usedAt(name: string): number | undefined {
    const target = this.target(name);
    const queues = target ? target.branches.map(({ queue }) => queue) : [this.queue(name)];
    const times = [target?.usedAt, ...queues.map((queue) => queue?.usedAt)].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.max(...times);
  }

  now(): number {
    return this.#around.now();
  }

  /** The rules of the subscription of that name. */
  rules(name: string): RuleSet | undefined {
    return this.#rules.get(name.toLowerCase());
  }

  get queues(): Iterable<MessageQueue> {
    return this.#queues.values();
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
    for (const target of this.#targets.values()) {
      for (let due = target.schedule.takeDue(now); due; due = target.schedule.takeDue(now)) {
        this.#distribute(target, due.offered, 0, { scheduledFor: due.dueAt });
      }
    }
  }

  /** When the next scheduled message is due, if there is any. */
  nextDue(): number | undefined {
    let earliest: number | undefined;
    for (const { schedule } of this.#targets.values()) {
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
    if (hops >= MAX_HOPS) {
      queue.refuse(message, TOO_MANY_HOPS, origin);
      return undefined;
    }
    // What is there already goes first, and what finds no room waits here, as in Azure.
    const forwarded = !queue.hasReady && this.#forward(queue.settings.forwardTo, message, hops + 1, origin);
    return forwarded ? undefined : queue.enqueue(message, origin);
  }

  /** False when the destination has no room. */
  #forward(to: string, message: OfferedMessage, hops: number, origin?: Origin): boolean {
    const target = this.target(to);
    if (!target || !this.#hasRoom(target, [message])) return false;
    if (target.history && !target.history.admit(message.messageId, this.#around.now())) return true;
    this.#distribute(target, message, hops, origin);
    return true;
  }

  /** Passes on what has found no room before, or was there before the queue forwarded. */
  forwardWaiting(): void {
    for (const queue of this.#queues.values()) {
      const { forwardTo } = queue.settings;
      const target = forwardTo === undefined ? undefined : this.target(forwardTo);
      if (!target) continue;
      for (let next = queue.first(); next; next = queue.first()) {
        const message = this.#around.read(next.content);
        if (!this.#hasRoom(target, [message])) break;
        queue.removeNext();
        this.#forward(forwardTo!, message, 1, next);
      }
    }
  }

  #addSubscription(topic: string, plan: SubscriptionPlan): Branch {
    const name = `${topic}/Subscriptions/${plan.name}`;
    const rules = new RuleSet({
      subscription: name,
      journal: this.#around.journal,
      newId: this.#around.newLockToken,
      definitions: plan.rules,
    });
    this.#rules.set(name.toLowerCase(), rules);
    return { queue: this.#addQueue(name, plan.settings), rules };
  }

  #addQueue(name: string, settings: QueueSettings, schedule?: Schedule): MessageQueue {
    const deadLetterQueue = new MessageQueue({
      name: name + DEAD_LETTER,
      settings: ofDeadLetters(settings),
      around: this.#around,
    });
    const queue: MessageQueue = new MessageQueue({
      name,
      settings,
      around: this.#around,
      deadLetterQueue,
      schedule,
      forwardDeadLetter: (message) => {
        const to = queue.settings.forwardDeadLettersTo;
        return to !== undefined && this.#forward(to, this.#around.read(message.content), 1, message);
      },
    });
    this.#queues.set(queue.name.toLowerCase(), queue);
    this.#queues.set(deadLetterQueue.name.toLowerCase(), deadLetterQueue);
    return queue;
  }

  #addTarget(target: Omit<Target, "history" | "usedAt">, windowMs: number | undefined): void {
    const { name } = target;
    const history =
      windowMs === undefined
        ? undefined
        : new DuplicateHistory({ entity: name, windowMs, journal: this.#around.journal });
    this.#targets.set(name.toLowerCase(), { ...target, history, usedAt: undefined });
  }
}

/** Dead letters stay until somebody takes them. */
const ofDeadLetters = (settings: QueueSettings): QueueSettings => ({
  ...settings,
  maxDeliveryCount: undefined,
  defaultTtlMs: undefined,
  deadLetterExpired: false,
  requiresSession: false,
  forwardTo: undefined,
  forwardDeadLettersTo: undefined,
});
