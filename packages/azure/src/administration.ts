import {
  type QueueProperties,
  type RuleProperties,
  ServiceBusAdministrationClient,
  type SubscriptionProperties,
  type TopicProperties,
} from "@azure/service-bus";
import { AdministrationError, toAdministrationError } from "./administration-failure.ts";
import { credential } from "./credential.ts";
import { durationOf, secondsOf } from "./duration.ts";
import type { MessageOrigin } from "./receiver.ts";
import type { ServiceBusAddress } from "./service-bus.ts";

/** A path of a namespace is a queue or a topic, never both. */
export type EntityKind = "queue" | "topic";

/** Settings by the names that the routes file has for them. What is absent is not there, or not asked for. */
export type EntitySettings = {
  /** How long a `MessageId` is remembered; absent: duplicate detection is off. */
  duplicate_detection_s?: number;
  /** Of queues and subscriptions. */
  sessions?: boolean;
  size_max_mb?: number;
  lock_s?: number;
  deliveries_max?: number;
};

export type EntityState = {
  kind: EntityKind;
  name: string;
  settings: EntitySettings;
  /** `Active`, or what somebody disabled: `Disabled`, `SendDisabled`, `ReceiveDisabled`. */
  status: string;
  partitioned: boolean;
  /** It deletes itself when nobody used it for so long. */
  delete_on_idle_s?: number;
};
export type SubscriptionState = Pick<EntityState, "name" | "settings" | "status" | "delete_on_idle_s">;

/** `sql` is absent of a filter that is no plain SQL; `filter` shows any. */
export type RuleState = { name: string; sql?: string; filter: string; action?: string };
export type Rule = { name: string; sql: string };

/** The entities of a namespace and their rules. Needs the right to manage. Every call throws `AdministrationError`. */
export type Administration = {
  /** `Basic`, `Standard` or `Premium`. */
  tier(): Promise<string>;
  entity(name: string): Promise<EntityState | undefined>;
  /** All of a topic, page by page. */
  subscriptions(topic: string): Promise<SubscriptionState[]>;
  rules(topic: string, subscription: string): Promise<RuleState[]>;
  createEntity(kind: EntityKind, name: string, settings: EntitySettings): Promise<void>;
  /** Changes the settings that are given and leaves the others as they are. */
  updateEntity(kind: EntityKind, name: string, settings: EntitySettings): Promise<void>;
  /** With `rule` it never has the default one, so that at no moment it takes what was not meant for it. */
  createSubscription(topic: string, name: string, settings: EntitySettings, rule?: Rule): Promise<void>;
  updateSubscription(topic: string, name: string, settings: EntitySettings): Promise<void>;
  createRule(topic: string, subscription: string, rule: Rule): Promise<void>;
  /** Another filter under the same name; an action that it had is gone. */
  updateRule(topic: string, subscription: string, rule: Rule): Promise<void>;
  deleteRule(topic: string, subscription: string, name: string): Promise<void>;
  /** How many messages are dead-lettered there. */
  deadLetters(of: MessageOrigin): Promise<number>;
};

/** A topic has at most 2,000 subscriptions, and a subscription as many rules: pages of 100, and some to spare. */
const LISTED_MAX = 2_500;
const TIMEOUT_MS = 30_000;

/**
 * Opens the administration API of a namespace. Nothing is connected before the first call.
 * @param options.ca a certificate (PEM) to trust instead of the system's: a local Service Bus makes its own
 */
export function openAdministration(address: ServiceBusAddress, options: { ca?: string } = {}): Administration {
  const settings = {
    retryOptions: { maxRetries: 2, retryDelayInMs: 300 },
    ...(options.ca === undefined ? {} : { tlsOptions: { ca: options.ca } }),
  };
  const client =
    "connectionString" in address
      ? new ServiceBusAdministrationClient(address.connectionString, settings)
      : new ServiceBusAdministrationClient(address.fullyQualifiedNamespace, credential(), settings);
  const bound = { requestOptions: { timeout: TIMEOUT_MS } };
  return {
    tier: () => sorted(async () => (await client.getNamespaceProperties(bound)).messagingSku),
    entity: (name) => sorted(() => readEntity(client, name, bound)),
    subscriptions: (topic) => sorted(async () => (await all(client.listSubscriptions(topic))).map(subscriptionState)),
    rules: (topic, subscription) =>
      sorted(async () => (await all(client.listRules(topic, subscription))).map(ruleState)),
    createEntity: (kind, name, wanted) =>
      sorted(async () => {
        const { duplicate_detection_s: window_s } = wanted;
        const detection = window_s === undefined ? {} : { requiresDuplicateDetection: true };
        const given = { ...detection, ...toSdk(wanted), ...bound };
        await (kind === "queue" ? client.createQueue(name, given) : client.createTopic(name, given));
      }),
    updateEntity: (kind, name, wanted) =>
      sorted(async () => {
        // Azure wants all properties back, also those that nobody changes.
        if (kind === "queue")
          await client.updateQueue({ ...(await client.getQueue(name, bound)), ...toSdk(wanted) }, bound);
        else await client.updateTopic({ ...(await client.getTopic(name, bound)), ...toSdk(wanted) }, bound);
      }),
    createSubscription: (topic, name, wanted, rule) =>
      sorted(async () => {
        const first = rule && { defaultRuleOptions: { name: rule.name, filter: { sqlExpression: rule.sql } } };
        await client.createSubscription(topic, name, { ...toSdk(wanted), ...first, ...bound });
      }),
    updateSubscription: (topic, name, wanted) =>
      sorted(async () => {
        const present = await client.getSubscription(topic, name, bound);
        await client.updateSubscription({ ...present, ...toSdk(wanted) }, bound);
      }),
    createRule: (topic, subscription, { name, sql }) =>
      sorted(async () => void (await client.createRule(topic, subscription, name, { sqlExpression: sql }, bound))),
    updateRule: (topic, subscription, { name, sql }) =>
      sorted(async () => {
        const present = await client.getRule(topic, subscription, name, bound);
        await client.updateRule(topic, subscription, { ...present, filter: { sqlExpression: sql }, action: {} }, bound);
      }),
    deleteRule: (topic, subscription, name) =>
      sorted(async () => void (await client.deleteRule(topic, subscription, name, bound))),
    deadLetters: (of) =>
      sorted(async () => {
        const found =
          "queue" in of
            ? await client.getQueueRuntimeProperties(of.queue, bound)
            : await client.getSubscriptionRuntimeProperties(of.topic, of.subscription, bound);
        return found.deadLetterMessageCount ?? 0;
      }),
  };
}

async function sorted<T>(asking: () => Promise<T>): Promise<T> {
  try {
    return await asking();
  } catch (cause) {
    throw toAdministrationError(cause);
  }
}

/** Azure answers for a path whatever is there. Only a queue has a lock, without which the SDK cannot read one. */
async function readEntity(
  client: ServiceBusAdministrationClient,
  name: string,
  bound: object,
): Promise<EntityState | undefined> {
  try {
    return queueState(await client.getQueue(name, bound));
  } catch (cause) {
    const { code } = cause as { code?: string };
    if (code === "MessageEntityNotFoundError") return undefined;
    if (code !== "PARSE_ERROR") throw cause;
    return topicState(await client.getTopic(name, bound));
  }
}

async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const it of iterable) {
    if (found.push(it) > LISTED_MAX)
      throw new AdministrationError(
        "refused",
        `there are more than ${LISTED_MAX}, which Azure does not have`,
        undefined,
      );
  }
  return found;
}

const queueState = (queue: QueueProperties): EntityState => ({
  kind: "queue",
  name: queue.name,
  settings: { ...sizeAndDetection(queue), ...receiving(queue) },
  ...common(queue),
  partitioned: queue.enablePartitioning,
});

const topicState = (topic: TopicProperties): EntityState => ({
  kind: "topic",
  name: topic.name,
  settings: sizeAndDetection(topic),
  ...common(topic),
  partitioned: topic.enablePartitioning,
});

const subscriptionState = (subscription: SubscriptionProperties): SubscriptionState => ({
  name: subscription.subscriptionName,
  settings: receiving(subscription),
  ...common(subscription),
});

const sizeAndDetection = (of: QueueProperties | TopicProperties): EntitySettings => ({
  size_max_mb: of.maxSizeInMegabytes,
  ...(of.requiresDuplicateDetection
    ? { duplicate_detection_s: secondsOf(of.duplicateDetectionHistoryTimeWindow) }
    : {}),
});

const receiving = (of: QueueProperties | SubscriptionProperties): EntitySettings => ({
  sessions: of.requiresSession,
  lock_s: secondsOf(of.lockDuration),
  deliveries_max: of.maxDeliveryCount,
});

function common(of: { status: string; autoDeleteOnIdle?: string }): { status: string; delete_on_idle_s?: number } {
  const idle_s = of.autoDeleteOnIdle === undefined ? Number.POSITIVE_INFINITY : secondsOf(of.autoDeleteOnIdle);
  return { status: of.status, ...(Number.isFinite(idle_s) ? { delete_on_idle_s: idle_s } : {}) };
}

function ruleState({ name, filter, action }: RuleProperties): RuleState {
  const sql = "sqlExpression" in filter && filter.sqlParameters === undefined ? filter.sqlExpression : undefined;
  const given = Object.entries(filter).filter(([, value]) => value !== undefined);
  const { sqlExpression } = action as { sqlExpression?: string };
  return {
    name,
    filter: sql ?? JSON.stringify(Object.fromEntries(given)),
    ...(sql === undefined ? {} : { sql }),
    ...(sqlExpression === undefined ? {} : { action: sqlExpression }),
  };
}

function toSdk({ duplicate_detection_s, sessions, size_max_mb, lock_s, deliveries_max }: EntitySettings) {
  return {
    ...(duplicate_detection_s === undefined
      ? {}
      : { duplicateDetectionHistoryTimeWindow: durationOf(duplicate_detection_s) }),
    ...(sessions === undefined ? {} : { requiresSession: sessions }),
    ...(size_max_mb === undefined ? {} : { maxSizeInMegabytes: size_max_mb }),
    ...(lock_s === undefined ? {} : { lockDuration: durationOf(lock_s) }),
    ...(deliveries_max === undefined ? {} : { maxDeliveryCount: deliveries_max }),
  };
}
