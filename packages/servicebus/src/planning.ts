import { Value } from "typebox/value";
import { entityPath } from "./adapters/sas.ts";
import {
  type AuthorizationRule,
  BrokerConfig,
  BrokerConfigError,
  type ConfiguredRule,
  type ReceivingProperties,
  type SendingProperties,
} from "./config.ts";
import type { NamespacePlan } from "./domain/plan.ts";
import type { QueueSettings } from "./domain/queue.ts";
import { compileRule, type RuleDefinition, type RuleFilter } from "./domain/rule.ts";

// Azure's defaults.
const LOCK_DURATION_MS = 60_000;
const MAX_LOCK_DURATION_MS = 300_000;
const MAX_DELIVERY_COUNT = 10;
const DUPLICATE_WINDOW_MS = 600_000;
const MAX_SIZE_MB = 1024;
const SHORTEST_IDLE_MS = 300_000;
/** .NET's longest time span is how Azure's tools write "no time to live". */
const FOREVER_MS = 10_675_199 * 86_400_000;
const MAX_MESSAGE_KB = 256;

/** @throws BrokerConfigError naming every mistake */
export function planNamespace(config: unknown): NamespacePlan {
  const mistakes = [...Value.Errors(BrokerConfig, config)].map(
    (error) => `${error.instancePath || "(top level)"}: ${error.message}${extra(error.params)}`,
  );
  if (mistakes.length > 0) throw new BrokerConfigError(mistakes);

  const [namespace] = (config as BrokerConfig).UserConfig.Namespaces;
  const queues = namespace?.Queues ?? [];
  const topics = namespace?.Topics ?? [];
  const say = (where: string) => (what: string) => void mistakes.push(`${where}: ${what}`);
  unique([...queues, ...topics], say("Queues and Topics"));
  checkKeys(namespace?.AuthorizationRules, say("AuthorizationRules"));

  const plan: NamespacePlan = {
    queues: queues.map(({ Name: name, Properties = {} }) => ({
      name,
      settings: receiving(Properties, Properties, say(`Queues/${name}`)),
      ...sending(Properties, say(`Queues/${name}`)),
    })),
    topics: topics.map(({ Name: name, Properties = {}, Subscriptions = [] }) => {
      unique(Subscriptions, say(`Topics/${name}`));
      return {
        name,
        ...sending(Properties, say(`Topics/${name}`)),
        maxBytes: sizeOf(Properties),
        subscriptions: Subscriptions.map((subscription) => {
          const sayHere = say(`Topics/${name}/Subscriptions/${subscription.Name}`);
          checkIdleTime(subscription.Properties ?? {}, sayHere);
          return {
            name: subscription.Name,
            settings: receiving(subscription.Properties ?? {}, Properties, sayHere),
            rules: rulesOf(subscription.Rules ?? [], sayHere),
          };
        }),
      };
    }),
  };
  checkForwarding(plan, mistakes);
  if (mistakes.length > 0) throw new BrokerConfigError(mistakes);
  return plan;
}

type Say = (what: string) => void;

const extra = (params: unknown) => {
  const names = (params as { additionalProperties?: string[] } | undefined)?.additionalProperties;
  return names ? ` (${names.join(", ")})` : "";
};

function unique(entities: readonly { Name: string }[], say: Say): void {
  const seen = new Set<string>();
  for (const { Name: name } of entities) {
    if (seen.has(name.toLowerCase())) say(`the name ${name} is used twice (names ignore case)`);
    seen.add(name.toLowerCase());
  }
}

function sending(properties: SendingProperties, say: Say) {
  const windowMs = milliseconds(properties.DuplicateDetectionHistoryTimeWindow) ?? DUPLICATE_WINDOW_MS;
  if (windowMs < 20_000 || windowMs > 7 * 86_400_000) {
    say("DuplicateDetectionHistoryTimeWindow must lie between 20 seconds and 7 days");
  }
  checkIdleTime(properties, say);
  checkKeys(properties.AuthorizationRules, say);
  return {
    assignsMessageIds: properties.EnablePartitioning ?? false,
    sendDisabled: properties.Status === "Disabled" || properties.Status === "SendDisabled",
    duplicateWindowMs: properties.RequiresDuplicateDetection ? windowMs : undefined,
    maxMessageBytes: (properties.MaxMessageSizeInKilobytes ?? MAX_MESSAGE_KB) * 1024,
  };
}

function receiving(properties: ReceivingProperties, entity: SendingProperties, say: Say): QueueSettings {
  if (properties.ForwardTo && properties.RequiresSession) say("ForwardTo: an entity with sessions cannot forward");
  const lockDurationMs = milliseconds(properties.LockDuration) ?? LOCK_DURATION_MS;
  if (lockDurationMs <= 0 || lockDurationMs > MAX_LOCK_DURATION_MS) {
    say("LockDuration must be longer than 0 and at most 5 minutes");
  }
  const ttls = [properties.DefaultMessageTimeToLive, entity.DefaultMessageTimeToLive].map(milliseconds);
  const ttlMs = Math.min(...ttls.map((ttl) => ttl ?? FOREVER_MS));
  return {
    lockDurationMs,
    maxDeliveryCount: properties.MaxDeliveryCount ?? MAX_DELIVERY_COUNT,
    defaultTtlMs: ttlMs < FOREVER_MS ? ttlMs : undefined,
    deadLetterExpired: properties.DeadLetteringOnMessageExpiration ?? false,
    requiresSession: properties.RequiresSession ?? false,
    maxBytes: sizeOf(entity),
    receiveDisabled: properties.Status === "Disabled" || properties.Status === "ReceiveDisabled",
    ...(properties.ForwardTo && { forwardTo: entityPath(properties.ForwardTo) }),
    ...(properties.ForwardDeadLetteredMessagesTo && {
      forwardDeadLettersTo: entityPath(properties.ForwardDeadLetteredMessagesTo),
    }),
  };
}

/** How long an entity may go unused before it is deleted; undefined for ever. */
export function idleTimeOf({ AutoDeleteOnIdle: duration }: { readonly AutoDeleteOnIdle?: string }): number | undefined {
  const idleMs = milliseconds(duration);
  return idleMs === undefined || idleMs >= FOREVER_MS ? undefined : idleMs;
}

function checkIdleTime(properties: { readonly AutoDeleteOnIdle?: string }, say: Say): void {
  if ((idleTimeOf(properties) ?? FOREVER_MS) < SHORTEST_IDLE_MS) say("AutoDeleteOnIdle must be at least 5 minutes");
}

function checkKeys(rules: readonly AuthorizationRule[] | undefined, say: Say): void {
  const seen = new Set<string>();
  for (const { KeyName: name, Rights: rights } of rules ?? []) {
    if (seen.has(name.toLowerCase())) say(`AuthorizationRules: the key name ${name} is used twice`);
    seen.add(name.toLowerCase());
    if (rights.includes("Manage") && !(rights.includes("Send") && rights.includes("Listen"))) {
      say(`AuthorizationRules/${name}: Manage is only given together with Send and Listen`);
    }
  }
}

/** Messages must not be forwarded to nowhere, nor from an entity to itself. */
function checkForwarding({ queues, topics }: NamespacePlan, mistakes: string[]): void {
  const targets = new Set([...queues, ...topics].map(({ name }) => name.toLowerCase()));
  const sources = [
    ...queues.map(({ name, settings }) => ({ name, settings, where: `Queues/${name}` })),
    ...topics.flatMap(({ name, subscriptions }) =>
      subscriptions.map((one) => ({ name, settings: one.settings, where: `Topics/${name}/Subscriptions/${one.name}` })),
    ),
  ];
  for (const { name, settings, where } of sources) {
    for (const [setting, to] of [
      ["ForwardTo", settings.forwardTo],
      ["ForwardDeadLetteredMessagesTo", settings.forwardDeadLettersTo],
    ]) {
      if (to === undefined) continue;
      if (!targets.has(to.toLowerCase())) mistakes.push(`${where}: ${setting}: there is no queue or topic ${to}`);
      if (to.toLowerCase() === name.toLowerCase()) mistakes.push(`${where}: ${setting}: ${to} would forward to itself`);
    }
  }
}

const sizeOf = (entity: SendingProperties) => (entity.MaxSizeInMegabytes ?? MAX_SIZE_MB) * 1024 * 1024;

function rulesOf(rules: readonly ConfiguredRule[], say: Say): RuleDefinition[] {
  if (rules.length === 0) return [{ name: "$Default", filter: { kind: "true" }, createdAt: 0 }];
  unique(rules, say);
  return rules.map(({ Name: name, Properties: properties }) => {
    const { SqlExpression: action } = properties.Action ?? {};
    const definition: RuleDefinition = {
      name,
      filter: filterOf(properties),
      ...(action && { action: { expression: action } }), // the emulator's own files have an empty one
      createdAt: 0,
    };
    const compiled = compileRule(definition);
    if (!compiled.ok) say(`Rules/${name}: ${compiled.why}`);
    return definition;
  });
}

function filterOf({ CorrelationFilter: filter, SqlFilter: sql }: ConfiguredRule["Properties"]): RuleFilter {
  if (filter) {
    const fields = {
      contentType: filter.ContentType,
      correlationId: filter.CorrelationId,
      subject: filter.Label,
      messageId: filter.MessageId,
      replyTo: filter.ReplyTo,
      replyToSessionId: filter.ReplyToSessionId,
      sessionId: filter.SessionId,
      to: filter.To,
    };
    return { kind: "correlation", fields, applicationProperties: new Map(Object.entries(filter.Properties ?? {})) };
  }
  return sql ? { kind: "sql", expression: sql.SqlExpression } : { kind: "true" };
}

/** ISO 8601 durations as Azure writes them; years and months have no fixed length and do not occur. */
function milliseconds(duration: string | undefined): number | undefined {
  const match = duration && /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(duration);
  if (!match) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return (((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1000;
}
