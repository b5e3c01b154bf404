import { iso8601 } from "./iso8601.ts";
import type { WantedEntity, WantedSubscription } from "./wanted.ts";

/*
 * What Microsoft's own Service Bus emulator takes, by its Config-schema.json and its documentation:
 * https://github.com/Azure/azure-service-bus-emulator-installer/blob/main/ServiceBus-Emulator/Schema/Config-schema.json
 * https://learn.microsoft.com/azure/service-bus-messaging/overview-emulator
 */
const NAMESPACE = "sbemulatorns";
const ENTITIES_MAX = 50;
const SUBSCRIPTIONS_MAX = 50;
const RULES_MAX = 1_000;
const WINDOW_S = { min: 5, max: 300 };
const LOCK_S = { queue: { min: 5, max: 300 }, subscription: { min: 60, max: 300 } };
const DELIVERIES = { min: 1, max: 10 };
const SIZE_MAX_MB = 100;
/** Longest and default life of a message there. */
const TTL = "PT1H";
const NAME = /^[A-Za-z0-9](?:[\w./-]*[A-Za-z0-9])?$/;

/** The emulator's Config.json. */
export type EmulatorConfig = {
  UserConfig: { Namespaces: [{ Name: string; Queues: object[]; Topics: object[] }]; Logging: { Type: "Console" } };
};

/**
 * The emulator's configuration for what routes, sources and entities want.
 * @returns what had to be narrowed, in words; or all that the emulator cannot have at all
 */
export function emulatorConfig(
  wanted: readonly WantedEntity[],
): { ok: true; config: EmulatorConfig; warnings: string[] } | { ok: false; mistakes: string[] } {
  const mistakes = mistakesIn(wanted);
  if (mistakes.length > 0) return { ok: false, mistakes };
  const warnings: string[] = [];
  const warn = (warning: string): void => void warnings.push(warning);
  const of = (kind: WantedEntity["kind"]) => wanted.filter((entity) => entity.kind === kind);
  const Queues = of("queue").map((queue) => ({
    Name: queue.name,
    Properties: { ...sending(queue, warn), ...receiving(queue, `queue ${queue.name}`, LOCK_S.queue, warn) },
  }));
  const Topics = of("topic").map((topic) => ({
    Name: topic.name,
    Properties: sending(topic, warn),
    ...(topic.subscriptions.length > 0 && {
      Subscriptions: topic.subscriptions.map((it) => subscription(it, `subscription ${topic.name}/${it.name}`, warn)),
    }),
  }));
  const Namespaces: EmulatorConfig["UserConfig"]["Namespaces"] = [{ Name: NAMESPACE, Queues, Topics }];
  return { ok: true, config: { UserConfig: { Namespaces, Logging: { Type: "Console" } } }, warnings };
}

function mistakesIn(wanted: readonly WantedEntity[]): string[] {
  const mistakes: string[] = [];
  const bound = (what: string, count: number, max: number) => {
    if (count > max) mistakes.push(`${what}: ${count}, and the emulator takes ${max} at most`);
  };
  bound("queues and topics", wanted.length, ENTITIES_MAX);
  for (const { kind, name, subscriptions } of wanted) {
    bound(`subscriptions of topic ${name}`, subscriptions.length, SUBSCRIPTIONS_MAX);
    bound(`rules of topic ${name}`, subscriptions.flatMap(({ rules = [] }) => rules).length, RULES_MAX);
    const names = [name, ...subscriptions.flatMap((it) => [it.name, ...(it.rules ?? []).map((rule) => rule.name)])];
    for (const wrong of names.filter((it) => !NAME.test(it)))
      mistakes.push(`${kind} ${name}: the emulator takes no name like "${wrong}"; it ends with a letter or digit`);
  }
  return mistakes;
}

type Warn = (warning: string) => void;

function sending({ kind, name, settings }: WantedEntity, warn: Warn) {
  const { duplicate_detection_s: window_s, size_max_mb } = settings;
  if (size_max_mb !== undefined && size_max_mb > SIZE_MAX_MB)
    warn(`${kind} ${name}: the emulator keeps ${SIZE_MAX_MB} MB, not ${size_max_mb}`);
  const within = narrowed(window_s, WINDOW_S, (to) =>
    warn(`${kind} ${name}: a repeat is recognised for ${to} s, not ${window_s}: after a longer outage it comes twice`),
  );
  return {
    DefaultMessageTimeToLive: TTL,
    RequiresDuplicateDetection: within !== undefined,
    ...(within !== undefined && { DuplicateDetectionHistoryTimeWindow: iso8601(within) }),
  };
}

function receiving(
  { settings }: WantedEntity | WantedSubscription,
  what: string,
  lock: { min: number; max: number },
  warn: Warn,
) {
  const { sessions = false, lock_s, deliveries_max = DELIVERIES.max } = settings;
  const locked = narrowed(lock_s, lock, (to) => warn(`${what}: a lock lasts ${to} s, not ${lock_s}`));
  const deliveries = narrowed(deliveries_max, DELIVERIES, (to) =>
    warn(`${what}: a message is a dead letter after ${to} deliveries, not ${deliveries_max}`),
  );
  return {
    RequiresSession: sessions,
    MaxDeliveryCount: deliveries, // Azure's default is 10, the emulator's 3
    ...(locked !== undefined && { LockDuration: iso8601(locked) }),
  };
}

function subscription(wanted: WantedSubscription, what: string, warn: Warn) {
  const { name, rules } = wanted;
  return {
    Name: name,
    Properties: { DefaultMessageTimeToLive: TTL, ...receiving(wanted, what, LOCK_S.subscription, warn) },
    ...(rules && {
      Rules: rules.map(({ name: Name, sql: SqlExpression }) => ({
        Name,
        Properties: { FilterType: "Sql", SqlFilter: { SqlExpression } },
      })),
    }),
  };
}

/** The nearest value that is taken; tells when it is another one. */
function narrowed(
  value: number | undefined,
  { min, max }: { min: number; max: number },
  tell: (to: number) => void,
): number | undefined {
  if (value === undefined) return undefined;
  const to = Math.min(Math.max(value, min), max);
  if (to !== value) tell(to);
  return to;
}
