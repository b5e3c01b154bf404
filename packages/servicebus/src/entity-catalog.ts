import { type AuthorizationRule, type BrokerConfig, BrokerConfigError } from "./config.ts";
import type { Namespace } from "./domain/namespace.ts";
import { planNamespace } from "./planning.ts";

export type EntityKind = "queue" | "topic" | "subscription";
export type Properties = Readonly<Record<string, unknown>>;

export interface Entity {
  /** `queue`, `topic` or `topic/Subscriptions/name`, as it was written when it was created. */
  readonly path: string;
  readonly kind: EntityKind;
  /** As in the official emulator's Config.json; what is not given has Azure's default. */
  readonly properties: Properties;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** An entity that differs from the configuration; without properties it was deleted. */
export interface EntityChange extends Omit<Entity, "properties"> {
  readonly properties: Properties | undefined;
}

export type Change =
  | { readonly ok: true }
  | { readonly ok: false; readonly status: 400 | 404 | 409; readonly why: string };

type ConfiguredNamespace = BrokerConfig["UserConfig"]["Namespaces"][number];
type ConfiguredRules = NonNullable<
  NonNullable<ConfiguredNamespace["Topics"]>[number]["Subscriptions"]
>[number]["Rules"];

/** Settings of an entity that stay as they were when it was created, and how Azure says so. */
const FIXED = {
  RequiresSession: (kind: EntityKind) => unchangeable("RequiresSession", kind),
  RequiresDuplicateDetection: (kind: EntityKind) => unchangeable("RequiresDuplicateDetection", kind),
  EnablePartitioning: (kind: EntityKind) => `Partitioning cannot be changed for ${capital(kind)}. `,
} as const;

const unchangeable = (setting: string, kind: EntityKind) =>
  `The value for the ${setting} property of an existing ${capital(kind)} cannot be changed.`;

const capital = (kind: EntityKind) => kind[0]!.toUpperCase() + kind.slice(1);

/** What is told back as it was given, and otherwise has no meaning here. */
const REMEMBERED = new Set([
  "DeadLetteringOnFilterEvaluationExceptions",
  "EnableBatchedOperations",
  "SupportOrdering",
  "UserMetadata",
]);

/**
 * Which entities there are: those of the configuration, and what the administration API has made of them since. A change is
 * checked as a configuration is, by planning the whole namespace with it; what was changed at run time is kept, and wins.
 */
export class EntityCatalog {
  readonly #entities = new Map<string, Entity>();
  readonly #rules = new Map<string, ConfiguredRules>();
  readonly #namespaceRules: readonly AuthorizationRule[];
  readonly #now: () => number;
  readonly #keep: (change: EntityChange) => void;
  readonly #forgetChanges: () => void;
  readonly #configured: ConfiguredNamespace;
  #namespace: Namespace | undefined;

  constructor(options: {
    config: BrokerConfig;
    changes: readonly EntityChange[];
    now: () => number;
    keep: (change: EntityChange) => void;
    /** Makes all that was kept as if it had not been. */
    forgetChanges: () => void;
  }) {
    this.#now = options.now;
    this.#keep = options.keep;
    this.#forgetChanges = options.forgetChanges;
    this.#configured = options.config.UserConfig.Namespaces[0]!;
    this.#namespaceRules = this.#configured.AuthorizationRules ?? [];
    this.#beginAsConfigured();
    for (const { properties, ...entity } of options.changes) {
      if (properties) this.#entities.set(entity.path.toLowerCase(), { ...entity, properties });
      else this.#forget(entity.path);
    }
    // The configuration may give a subscription to a topic that was deleted at run time.
    for (const { path } of this.list("subscription")) if (!this.get(topicOf(path))) this.#forget(path);
  }

  /** Back to the configuration: every entity is new and empty. */
  reset(): void {
    this.#entities.clear();
    this.#rules.clear();
    this.#forgetChanges();
    this.#namespace?.apply({ queues: [], topics: [] });
    this.#beginAsConfigured();
    this.#namespace?.apply(this.plan());
  }

  /** @throws BrokerConfigError when the configuration and later changes do not go together */
  plan() {
    return planNamespace(this.#config());
  }

  /** From then on changes are made in the namespace too. */
  govern(namespace: Namespace): void {
    this.#namespace = namespace;
  }

  get(path: string): Entity | undefined {
    return this.#entities.get(path.toLowerCase());
  }

  /** The keys that are good for the whole namespace (the empty path) or for one queue or topic and what is below it. */
  authorizationRules(): readonly { readonly path: string; readonly rule: AuthorizationRule }[] {
    const found = this.#namespaceRules.map((rule) => ({ path: "", rule }));
    for (const { path, properties } of this.#entities.values()) {
      const rules = (properties.AuthorizationRules ?? []) as readonly AuthorizationRule[];
      for (const rule of rules) found.push({ path, rule });
    }
    return found;
  }

  /** In order of name; of one topic, for subscriptions. */
  list(kind: EntityKind, topic?: string): Entity[] {
    const prefix = topic === undefined ? "" : subscriptionPath(topic, "").toLowerCase();
    return [...this.#entities]
      .filter(([key, entity]) => entity.kind === kind && key.startsWith(prefix))
      .map(([, entity]) => entity)
      .sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  create(path: string, kind: EntityKind, properties: Properties): Change {
    if (this.get(path)) return { ok: false, status: 409, why: `The entity ${path} exists already.` };
    const topic = topicOf(path);
    if (kind === "subscription" && this.get(topic)?.kind !== "topic") {
      return { ok: false, status: 404, why: `There is no topic ${topic}.` };
    }
    const now = this.#now();
    return this.#change({ path, kind, properties, createdAt: now, updatedAt: now });
  }

  update(path: string, kind: EntityKind, properties: Properties): Change {
    const entity = this.get(path);
    if (entity?.kind !== kind) return { ok: false, status: 404, why: `There is no ${kind} ${path}.` };
    for (const [name, why] of Object.entries(FIXED)) {
      if (properties[name] !== undefined && properties[name] !== (entity.properties[name] ?? false)) {
        return { ok: false, status: 400, why: why(kind) };
      }
    }
    const names = Object.keys(FIXED).filter((name) => name in entity.properties);
    const fixed = names.map((name) => [name, entity.properties[name]]);
    return this.#change({
      ...entity,
      properties: { ...properties, ...Object.fromEntries(fixed) },
      updatedAt: this.#now(),
    });
  }

  /** With a topic go its subscriptions. */
  remove(path: string): Change {
    const entity = this.get(path);
    if (!entity) return { ok: false, status: 404, why: `There is no entity ${path}.` };
    const gone = entity.kind === "topic" ? [...this.list("subscription", entity.path), entity] : [entity];
    const entities = new Map(this.#entities);
    for (const one of gone) this.#entities.delete(one.path.toLowerCase());
    const change = this.#apply();
    if (!change.ok) {
      for (const [key, one] of entities) this.#entities.set(key, one);
      return change;
    }
    for (const one of gone) {
      this.#forget(one.path);
      this.#keep({ ...one, properties: undefined, updatedAt: this.#now() });
    }
    return change;
  }

  #change(entity: Entity): Change {
    const key = entity.path.toLowerCase();
    const before = this.#entities.get(key);
    this.#entities.set(key, entity);
    const change = this.#apply();
    if (change.ok) this.#keep(entity);
    else if (before) this.#entities.set(key, before);
    else this.#entities.delete(key);
    return change;
  }

  #apply(): Change {
    try {
      this.#namespace?.apply(this.plan());
      return { ok: true };
    } catch (error) {
      if (!(error instanceof BrokerConfigError)) throw error;
      return { ok: false, status: 400, why: error.mistakes.join("; ") };
    }
  }

  #beginAsConfigured(): void {
    for (const { Name, Properties } of this.#configured.Queues ?? []) this.#put(Name, "queue", Properties);
    for (const { Name, Properties, Subscriptions } of this.#configured.Topics ?? []) {
      this.#put(Name, "topic", Properties);
      for (const subscription of Subscriptions ?? []) {
        const path = subscriptionPath(Name, subscription.Name);
        this.#put(path, "subscription", subscription.Properties);
        this.#rules.set(path.toLowerCase(), subscription.Rules);
      }
    }
  }

  #put(path: string, kind: EntityKind, properties: Properties = {}): void {
    const now = this.#now();
    this.#entities.set(path.toLowerCase(), { path, kind, properties, createdAt: now, updatedAt: now });
  }

  /** A subscription that is created again under that name begins with the default rule. */
  #forget(path: string): void {
    this.#entities.delete(path.toLowerCase());
    this.#rules.delete(path.toLowerCase());
  }

  #config(): BrokerConfig {
    const Queues = this.list("queue").map(({ path, properties }) => ({
      Name: path,
      Properties: meaningful(properties),
    }));
    const Topics = this.list("topic").map(({ path, properties }) => ({
      Name: path,
      Properties: meaningful(properties),
      Subscriptions: this.list("subscription", path).map((subscription) => ({
        Name: subscription.path.slice(subscriptionPath(path, "").length),
        Properties: meaningful(subscription.properties),
        Rules: this.#rules.get(subscription.path.toLowerCase()),
      })),
    }));
    const AuthorizationRules = [...this.#namespaceRules];
    return { UserConfig: { Namespaces: [{ AuthorizationRules, Queues, Topics }] } };
  }
}

const meaningful = (properties: Properties) =>
  Object.fromEntries(Object.entries(properties).filter(([name]) => !REMEMBERED.has(name)));

const SUBSCRIPTIONS = "/Subscriptions/";

export const subscriptionPath = (topic: string, name: string) => `${topic}${SUBSCRIPTIONS}${name}`;

/** The topic a subscription's path begins with. */
export const topicOf = (path: string) =>
  path.slice(0, Math.max(0, path.toLowerCase().lastIndexOf(SUBSCRIPTIONS.toLowerCase())));
