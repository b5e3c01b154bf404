import { DuplicateHistory } from "./duplicate-history.ts";
import type { OfferedMessage } from "./message.ts";
import { MessageQueue, type QueueSettings, type Surroundings } from "./queue.ts";
import { matches, type Rule } from "./rules.ts";

export interface QueuePlan {
  readonly name: string;
  readonly settings: QueueSettings;
  readonly duplicateWindowMs: number | undefined;
  readonly maxMessageBytes: number;
}

export interface SubscriptionPlan {
  readonly name: string;
  readonly settings: QueueSettings;
  readonly rules: readonly Rule[];
}

export interface TopicPlan {
  readonly name: string;
  readonly subscriptions: readonly SubscriptionPlan[];
  readonly duplicateWindowMs: number | undefined;
  readonly maxMessageBytes: number;
}

export interface NamespacePlan {
  readonly queues: readonly QueuePlan[];
  readonly topics: readonly TopicPlan[];
}

/** Where messages are sent: a queue is a target with one queue that takes everything. */
export interface Target {
  readonly name: string;
  readonly maxMessageBytes: number;
  readonly history: DuplicateHistory | undefined;
  readonly branches: readonly { readonly queue: MessageQueue; readonly rules: readonly Rule[] }[];
}

const EVERYTHING: readonly Rule[] = [{ name: "$Default", kind: "true" }];
const DEAD_LETTER = "/$deadletterqueue";

/** All entities of one namespace, by name; names are compared without case, as Azure does. */
export class Namespace {
  readonly #around: Surroundings;
  readonly #targets = new Map<string, Target>();
  readonly #queues = new Map<string, MessageQueue>();

  constructor(plan: NamespacePlan, around: Surroundings) {
    this.#around = around;
    for (const { name, settings, duplicateWindowMs, maxMessageBytes } of plan.queues) {
      const branches = [{ queue: this.#addQueue(name, settings), rules: EVERYTHING }];
      this.#addTarget({ name, maxMessageBytes, branches }, duplicateWindowMs);
    }
    for (const { name, subscriptions, duplicateWindowMs, maxMessageBytes } of plan.topics) {
      const branches = subscriptions.map((subscription) => ({
        queue: this.#addQueue(`${name}/Subscriptions/${subscription.name}`, subscription.settings),
        rules: subscription.rules,
      }));
      this.#addTarget({ name, maxMessageBytes, branches }, duplicateWindowMs);
    }
  }

  /** The queue, subscription (`topic/Subscriptions/name`) or dead-letter queue of that name. */
  queue(name: string): MessageQueue | undefined {
    return this.#queues.get(name.toLowerCase());
  }

  /** The queue or topic of that name. */
  target(name: string): Target | undefined {
    return this.#targets.get(name.toLowerCase());
  }

  get queues(): Iterable<MessageQueue> {
    return this.#queues.values();
  }

  /**
   * Stores messages in every queue that takes them, all or none; a duplicate is accepted and not stored.
   * @returns false when a queue has no room left
   */
  send(target: Target, offered: readonly OfferedMessage[]): boolean {
    let bytes = 0;
    for (const message of offered) bytes += message.content.length;
    if (!target.branches.every(({ queue }) => queue.hasRoomFor(bytes))) return false;
    const now = this.#around.now();
    for (const message of offered) {
      if (target.history && !target.history.admit(message.messageId, now)) continue;
      for (const { queue, rules } of target.branches) if (matches(rules, message.fields)) queue.enqueue(message);
    }
    return true;
  }

  #addQueue(name: string, settings: QueueSettings): MessageQueue {
    const deadLetterQueue = new MessageQueue({
      name: name + DEAD_LETTER,
      settings: { ...settings, maxDeliveryCount: undefined, defaultTtlMs: undefined, deadLetterExpired: false },
      around: this.#around,
    });
    const queue = new MessageQueue({ name, settings, around: this.#around, deadLetterQueue });
    this.#queues.set(queue.name.toLowerCase(), queue);
    this.#queues.set(deadLetterQueue.name.toLowerCase(), deadLetterQueue);
    return queue;
  }

  #addTarget(target: Omit<Target, "history">, windowMs: number | undefined): void {
    const { name } = target;
    const history =
      windowMs === undefined
        ? undefined
        : new DuplicateHistory({ entity: name, windowMs, journal: this.#around.journal });
    this.#targets.set(name.toLowerCase(), { ...target, history });
  }
}
