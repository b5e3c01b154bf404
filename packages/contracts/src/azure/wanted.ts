import {
  OUTAGE_MAX_S_DEFAULT,
  type Route,
  type RoutesFile,
  routeMistakes,
  type Source,
  type SubscriptionPlan,
  sourceMistakes,
} from "../routes.ts";

/** Settings by the names that the routes file has for them; what is absent nobody asks for. */
type Settings = {
  duplicate_detection_s?: number;
  sessions?: boolean;
  size_max_mb?: number;
  lock_s?: number;
  deliveries_max?: number;
};

/**
 * What should be at Service Bus, from what routes, sources and entities say. All that makes it follows from here: `millrace
 * azure apply`, Bicep, and the configuration of an emulator. Absent settings are left as they are.
 */
export type WantedEntity = {
  kind: "queue" | "topic";
  name: string;
  settings: Settings;
  /** Who needs it: `route predictions`, `source orders`. */
  neededBy: string[];
  /** The longest outage that a route promises to survive without a duplicate. */
  outage?: { seconds: number; route: string };
  /** Routes whose messages carry a session id, and those whose do not. */
  routes: { name: string; sessions: boolean }[];
  subscriptions: WantedSubscription[];
  /** A source: the bridge receives from this queue. */
  isSource: boolean;
};
export type WantedSubscription = {
  name: string;
  settings: Settings;
  /** Absent: those that it has stay. */
  rules?: { name: string; sql: string }[];
  /** A source: the bridge receives from this subscription. */
  isSource: boolean;
};

/**
 * @param others routes in force beside those of the file; one that takes the place of the file's is wanted beside it,
 *   since it may be deleted again
 * @returns the entities in the order in which they are named, or every contradiction
 */
export function wantedOf(
  file: RoutesFile,
  others: readonly Route[] = [],
): { ok: true; entities: WantedEntity[] } | { ok: false; mistakes: string[] } {
  const mistakes: string[] = [];
  const say = (mistake: string): void => void mistakes.push(mistake);
  const entities = new Map<string, WantedEntity>();

  /** The entity that somebody names; undefined when it cannot be one. */
  function entityOf(of: { topic?: string; queue?: string }, by: string): WantedEntity | undefined {
    const { topic, queue } = of;
    const name = topic ?? queue;
    if (name === undefined || (topic !== undefined && queue !== undefined)) {
      say(`${by}: give either a topic or a queue`);
      return undefined;
    }
    const kind = topic === undefined ? "queue" : "topic";
    const key = name.toLowerCase(); // as Service Bus compares
    const entity = entities.get(key) ?? newEntity(kind, name);
    if (entity.kind !== kind) say(`${by}: ${name} is a ${entity.kind} for ${entity.neededBy[0]}`);
    entities.set(key, entity);
    entity.neededBy.push(by);
    return entity;
  }

  unique("routes", file.routes, say);
  unique("sources", file.sources ?? [], say);

  for (const route of [...file.routes, ...others]) {
    const by = `route ${route.name}`;
    const wrong = routeMistakes(route);
    for (const { at, message } of wrong) say(`${by}: ${at} ${message}`);
    if (wrong.length > 0) continue;
    const entity = entityOf(route, by);
    if (!entity) continue;
    const seconds = route.outage_max_s ?? OUTAGE_MAX_S_DEFAULT;
    if (seconds > (entity.outage?.seconds ?? 0)) entity.outage = { seconds, route: route.name };
    entity.settings.duplicate_detection_s = entity.outage!.seconds;
    const sessions = route.message?.session_id !== undefined;
    entity.routes.push({ name: route.name, sessions });
    // A queue with sessions refuses a message without one; a topic leaves that to its subscriptions.
    if (entity.kind === "queue") decideSessions(entity.settings, sessions, `${by}: queue ${entity.name}`, say);
  }

  for (const source of file.sources ?? []) {
    const by = `source ${source.name}`;
    const wrong = sourceMistakes(source);
    for (const { at, message } of wrong) say(`${by}: ${at} ${message}`);
    if (wrong.length > 0) continue;
    const entity = entityOf(source, by);
    if (!entity) continue;
    const receiver = source.subscription === undefined ? entity : subscriptionOf(entity, source.subscription);
    receiver.isSource = true;
    decideSessions(receiver.settings, source.sessions ?? false, `${by}: ${pathOf(source)}`, say);
  }

  const planned = new Set<string>();
  for (const plan of file.entities ?? []) {
    const by = `entities: ${plan.topic === undefined ? "queue" : "topic"} ${plan.topic ?? plan.queue}`;
    const entity = entityOf(plan, by);
    if (!entity) continue;
    if (planned.has(entity.name.toLowerCase())) say(`${by}: it is there twice`);
    planned.add(entity.name.toLowerCase());
    const { sessions, duplicate_detection_s: window_s, size_max_mb, subscriptions = [] } = plan;
    if (size_max_mb !== undefined) entity.settings.size_max_mb = size_max_mb;
    if (sessions !== undefined && entity.kind === "topic") say(`${by}: sessions belong to its subscriptions`);
    else if (sessions !== undefined) decideSessions(entity.settings, sessions, by, say);
    if (window_s !== undefined) {
      if (entity.outage && window_s < entity.outage.seconds)
        say(
          `${by}: a window of ${window_s} s is shorter than the outage of ${entity.outage.seconds} s that route ${entity.outage.route} promises`,
        );
      entity.settings.duplicate_detection_s = window_s;
    }
    if (entity.kind === "queue" && subscriptions.length > 0) say(`${by}: a queue has no subscriptions`);
    unique(by, subscriptions, say);
    for (const subscription of subscriptions) addSubscription(entity, subscription, by, say);
  }
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, entities: [...entities.values()] };
}

/**
 * Whether the bridge may send there: where a route goes, and what `entities` names beside its sources, since routes that are put
 * over the API and replies may go there.
 */
export const isDestination = ({ routes, isSource, subscriptions }: WantedEntity): boolean =>
  routes.length > 0 || !(isSource || subscriptions.some((subscription) => subscription.isSource));

type Say = (mistake: string) => void;

const newEntity = (kind: WantedEntity["kind"], name: string): WantedEntity => ({
  kind,
  name,
  settings: {},
  neededBy: [],
  routes: [],
  subscriptions: [],
  isSource: false,
});

function addSubscription(entity: WantedEntity, plan: SubscriptionPlan, by: string, say: Say): void {
  const where = `${by}, subscription ${plan.name}`;
  const subscription = subscriptionOf(entity, plan.name);
  const { sessions, deliveries_max, lock_s, rules } = plan;
  if (plan.name.includes("/")) say(`${where}: its name cannot have a "/"`);
  if (sessions !== undefined) decideSessions(subscription.settings, sessions, where, say);
  if (deliveries_max !== undefined) subscription.settings.deliveries_max = deliveries_max;
  if (lock_s !== undefined) subscription.settings.lock_s = lock_s;
  if (rules === undefined) return;
  if (rules.length === 0) say(`${where}: without a rule it receives nothing; leave "rules" out to take everything`);
  unique(where, rules, say);
  subscription.rules = rules.map(({ name, sql }) => ({ name, sql }));
}

function subscriptionOf(entity: WantedEntity, name: string): WantedSubscription {
  const known = entity.subscriptions.find((it) => it.name.toLowerCase() === name.toLowerCase());
  if (known) return known;
  const subscription: WantedSubscription = { name, settings: {}, isSource: false };
  entity.subscriptions.push(subscription);
  return subscription;
}

/** Whoever says it first is right; whoever says otherwise is a mistake, since an entity has sessions or has not. */
function decideSessions(settings: Settings, sessions: boolean, by: string, say: Say): void {
  if (settings.sessions !== undefined && settings.sessions !== sessions)
    say(`${by} ${sessions ? "needs" : "must not have"} sessions, and something before it says otherwise`);
  settings.sessions ??= sessions;
}

const pathOf = ({ topic, subscription, queue }: Source): string =>
  queue === undefined ? `${topic}/${subscription}` : `queue ${queue}`;

function unique(where: string, named: readonly { name: string }[], say: Say): void {
  const seen = new Set<string>();
  for (const { name } of named) {
    if (seen.has(name.toLowerCase())) say(`${where}: the name ${name} is used twice`);
    seen.add(name.toLowerCase());
  }
}
