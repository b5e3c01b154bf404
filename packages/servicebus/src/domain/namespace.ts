import { DuplicateHistory } from "./duplicate-history.ts";
import type { NamespacePlan, QueuePlan, SubscriptionPlan, TopicPlan } from "./plan.ts";
import { MessageQueue, type QueueSettings, type Surroundings } from "./queue.ts";
import { Routing } from "./routing.ts";
import { RuleSet } from "./rule-set.ts";
import { Schedule } from "./schedule.ts";
import { SequenceCounter } from "./sequence-counter.ts";
import type { Branch, Target } from "./target.ts";

const DEAD_LETTERS = "/$deadletterqueue";
const TRANSFER_DEAD_LETTERS = "/$transfer/$deadletterqueue";

/** All entities of one namespace, by name; names are compared without case, as Azure does. */
export class Namespace {
  readonly #around: Surroundings;
  readonly #targets = new Map<string, Target>();
  readonly #queues = new Map<string, MessageQueue>();
  readonly #rules = new Map<string, RuleSet>();
  /** Sends, schedules and forwards messages. */
  readonly routing: Routing;

  constructor(plan: NamespacePlan, around: Surroundings) {
    this.#around = around;
    this.routing = new Routing({ entities: this, around });
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
    queue.transferDeadLetterQueue!.reconfigure(ofDeadLetters(settings));
  }

  #remove(target: Target): void {
    this.#targets.delete(target.name.toLowerCase());
    for (const { queue } of target.branches) this.#removeQueue(queue);
    this.#around.journal.drop(target.name);
  }

  #removeQueue(queue: MessageQueue): void {
    for (const gone of [queue, queue.deadLetterQueue!, queue.transferDeadLetterQueue!]) {
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

  get targets(): Iterable<Target> {
    return this.#targets.values();
  }

  get queues(): Iterable<MessageQueue> {
    return this.#queues.values();
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
      name: name + DEAD_LETTERS,
      settings: ofDeadLetters(settings),
      around: this.#around,
    });
    const transferDeadLetterQueue = new MessageQueue({
      name: name + TRANSFER_DEAD_LETTERS,
      settings: ofDeadLetters(settings),
      around: this.#around,
    });
    const queue: MessageQueue = new MessageQueue({
      name,
      settings,
      around: this.#around,
      deadLetterQueue,
      transferDeadLetterQueue,
      schedule,
      forwardDeadLetter: (message) => {
        const to = queue.settings.forwardDeadLettersTo;
        return to !== undefined && this.routing.forward(to, this.#around.read(message.content), 1, message);
      },
    });
    for (const one of [queue, deadLetterQueue, transferDeadLetterQueue]) this.#queues.set(one.name.toLowerCase(), one);
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
