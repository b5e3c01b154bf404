import { type Static, Type } from "typebox";

/*
 * The shape of the official emulator's Config.json, so that one file serves both. Settings the emulator knows and this
 * broker does not are refused when they would change what happens, rather than ignored.
 */
const closed = { additionalProperties: false };
const Duration = Type.String({ pattern: "^P(\\d+D)?(T(\\d+H)?(\\d+M)?(\\d+(\\.\\d+)?S)?)?$" });

const Status = Type.Enum(["Active", "Disabled", "SendDisabled", "ReceiveDisabled"]);

const AuthorizationRule = Type.Object(
  {
    KeyName: Type.String({ minLength: 1, maxLength: 256 }),
    Rights: Type.Array(Type.Enum(["Send", "Listen", "Manage"]), { minItems: 1, maxItems: 3 }),
    PrimaryKey: Type.String({ minLength: 1, maxLength: 256 }),
    SecondaryKey: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  },
  closed,
);

/** A key by which clients sign tokens, and what for. */
export type AuthorizationRule = Static<typeof AuthorizationRule>;

const AuthorizationRules = Type.Optional(Type.Array(AuthorizationRule, { maxItems: 12 }));

const EntityProperties = {
  AuthorizationRules,
  AutoDeleteOnIdle: Type.Optional(Duration),
  EnablePartitioning: Type.Optional(Type.Boolean()),
  Status: Type.Optional(Status),
  DefaultMessageTimeToLive: Type.Optional(Duration),
  DuplicateDetectionHistoryTimeWindow: Type.Optional(Duration),
  RequiresDuplicateDetection: Type.Optional(Type.Boolean()),
  MaxSizeInMegabytes: Type.Optional(Type.Integer({ minimum: 1, maximum: 81_920 })),
  MaxMessageSizeInKilobytes: Type.Optional(Type.Integer({ minimum: 1, maximum: 102_400 })),
};

const ReceiverProperties = {
  AutoDeleteOnIdle: Type.Optional(Duration),
  Status: Type.Optional(Status),
  DefaultMessageTimeToLive: Type.Optional(Duration),
  DeadLetteringOnMessageExpiration: Type.Optional(Type.Boolean()),
  LockDuration: Type.Optional(Duration),
  MaxDeliveryCount: Type.Optional(Type.Integer({ minimum: 1, maximum: 2000 })),
  RequiresSession: Type.Optional(Type.Boolean()),
  ForwardTo: Type.Optional(Type.String()),
  ForwardDeadLetteredMessagesTo: Type.Optional(Type.String()),
};

const Name = Type.String({ minLength: 1, maxLength: 260, pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]*$" });

const SendingSchema = Type.Object(EntityProperties, closed);
const ReceivingSchema = Type.Object(ReceiverProperties, closed);

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
    Properties: Type.Optional(ReceivingSchema),
    Rules: Type.Optional(Type.Array(RuleSchema)),
  },
  closed,
);

const NamespaceSchema = Type.Object(
  {
    Name: Type.Optional(Type.String()),
    AuthorizationRules,
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
            Properties: Type.Optional(SendingSchema),
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

export type ConfiguredRule = Static<typeof RuleSchema>;

/** What a queue and a topic have in common. */
export type SendingProperties = Static<typeof SendingSchema>;

/** What a queue and a subscription have in common. */
export type ReceivingProperties = Static<typeof ReceivingSchema>;

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
