import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { entityPath } from "./adapters/sas.ts";
import type { NamespacePlan } from "./domain/namespace.ts";
import type { QueueSettings } from "./domain/queue.ts";
import { compileRule, type RuleDefinition, type RuleFilter } from "./domain/rule.ts";

/*
 * The shape of the official emulator's Config.json, so that one file serves both. Settings the emulator knows and this
 * broker does not are refused when they would change what happens, rather than ignored.
 */
const closed = { additionalProperties: false };
const Duration = Type.String({ pattern: "^P(\\d+D)?(T(\\d+H)?(\\d+M)?(\\d+(\\.\\d+)?S)?)?$" });

const EntityProperties = {
  DefaultMessageTimeToLive: Type.Optional(Duration),
  DuplicateDetectionHistoryTimeWindow: Type.Optional(Duration),
  RequiresDuplicateDetection: Type.Optional(Type.Boolean()),
  MaxSizeInMegabytes: Type.Optional(Type.Integer({ minimum: 1, maximum: 81_920 })),
  MaxMessageSizeInKilobytes: Type.Optional(Type.Integer({ minimum: 1, maximum: 102_400 })),
};

const ReceiverProperties = {
  DefaultMessageTimeToLive: Type.Optional(Duration),
  DeadLetteringOnMessageExpiration: Type.Optional(Type.Boolean()),
  LockDuration: Type.Optional(Duration),
  MaxDeliveryCount: Type.Optional(Type.Integer({ minimum: 1, maximum: 2000 })),
  RequiresSession: Type.Optional(Type.Boolean()),
  ForwardTo: Type.Optional(Type.String()),
  ForwardDeadLetteredMessagesTo: Type.Optional(Type.String()),
};

const Name = Type.String({ minLength: 1, maxLength: 260, pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]*$" });

const RuleSchema = Type.Object(
  {
    Name,
    Properties: Type.Object(
      {
        FilterType: Type.Optional(Type.String()),
        CorrelationFilter: Type.Optional(
          Type.Object(
            {
              ContentType: Type.Optional(Type.String()),
              CorrelationId: Type.Optional(Type.String()),
              Label: Type.Optional(Type.String()),
              MessageId: Type.Optional(Type.String()),
              ReplyTo: Type.Optional(Type.String()),
              ReplyToSessionId: Type.Optional(Type.String()),
              SessionId: Type.Optional(Type.String()),
              To: Type.Optional(Type.String()),
              Properties: Type.Optional(
                Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
              ),
            },
            closed,
          ),
        ),
        SqlFilter: Type.Optional(Type.Object({ SqlExpression: Type.String() })),
        Action: Type.Optional(Type.Object({ SqlExpression: Type.Optional(Type.String()) })),
      },
      closed,
    ),
  },
  closed,
);

const SubscriptionSchema = Type.Object(
  {
    Name,
    Properties: Type.Optional(Type.Object(ReceiverProperties, closed)),
    Rules: Type.Optional(Type.Array(RuleSchema)),
  },
  closed,
);

const NamespaceSchema = Type.Object(
  {
    Name: Type.Optional(Type.String()),
    Queues: Type.Optional(
      Type.Array(
        Type.Object(
          { Name, Properties: Type.Optional(Type.Object({ ...EntityProperties, ...ReceiverProperties }, closed)) },
          closed,
        ),
      ),
    ),
    Topics: Type.Optional(
      Type.Array(
        Type.Object(
          {
            Name,
            Properties: Type.Optional(Type.Object(EntityProperties, closed)),
            Subscriptions: Type.Optional(Type.Array(SubscriptionSchema)),
          },
          closed,
        ),
      ),
    ),
  },
  closed,
);

export const BrokerConfig = Type.Object({
  UserConfig: Type.Object({
    Namespaces: Type.Array(NamespaceSchema, { minItems: 1, maxItems: 1 }),
    Logging: Type.Optional(Type.Unknown()),
  }),
});

/** The official emulator's `Config.json`. */
export type BrokerConfig = Static<typeof BrokerConfig>;

type Queue = NonNullable<Static<typeof NamespaceSchema>["Queues"]>[number];
type Receiving = NonNullable<Static<typeof SubscriptionSchema>["Properties"]>;
type Sending = Pick<NonNullable<Queue["Properties"]>, keyof typeof EntityProperties>;

/** What is wrong with a configuration: every mistake at once, each with where it stands. */
export class BrokerConfigError extends Error {
  readonly code = "servicebus-config-invalid";
  readonly mistakes: readonly string[];
  constructor(mistakes: readonly string[]) {
    super(`The Service Bus configuration has mistakes:\n${mistakes.map((mistake) => `  ${mistake}`).join("\n")}`);
    this.name = "BrokerConfigError";
    this.mistakes = mistakes;
  }
}

// Azure's defaults.
const LOCK_DURATION_MS = 60_000;
const MAX_LOCK_DURATION_MS = 300_000;
const MAX_DELIVERY_COUNT = 10;
const DUPLICATE_WINDOW_MS = 600_000;
const MAX_SIZE_MB = 1024;
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

function sending(properties: Sending, say: Say) {
  const windowMs = milliseconds(properties.DuplicateDetectionHistoryTimeWindow) ?? DUPLICATE_WINDOW_MS;
  if (windowMs < 20_000 || windowMs > 7 * 86_400_000) {
    say("DuplicateDetectionHistoryTimeWindow must lie between 20 seconds and 7 days");
  }
  return {
    duplicateWindowMs: properties.RequiresDuplicateDetection ? windowMs : undefined,
    maxMessageBytes: (properties.MaxMessageSizeInKilobytes ?? MAX_MESSAGE_KB) * 1024,
  };
}

function receiving(properties: Receiving, entity: Sending, say: Say): QueueSettings {
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
    ...(properties.ForwardTo && { forwardTo: entityPath(properties.ForwardTo) }),
    ...(properties.ForwardDeadLetteredMessagesTo && {
      forwardDeadLettersTo: entityPath(properties.ForwardDeadLetteredMessagesTo),
    }),
  };
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

const sizeOf = (entity: Sending) => (entity.MaxSizeInMegabytes ?? MAX_SIZE_MB) * 1024 * 1024;

type ConfiguredRule = Static<typeof RuleSchema>;

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
