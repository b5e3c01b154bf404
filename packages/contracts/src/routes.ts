import Type from "typebox";
import { Condition } from "./condition.ts";
import { REPLY_PREFIX, replyDestination } from "./streams.ts";
import { isToken, OUTCOME_STATES, TOKEN_PATTERN } from "./subjects.ts";
import { parseTemplate, Template } from "./template.ts";

/**
 * What is mirrored to Azure Service Bus, and what is taken from there. Both stand in the bridge's configuration and in the
 * buckets `routes` and `sources` (key = name); what is in a bucket wins, and takes effect without a restart.
 */

const Token = Type.String({ pattern: TOKEN_PATTERN });
const closed = { additionalProperties: false } as const;

/** Name of a queue, topic or subscription: Service Bus's own rule for paths, without regard to case. */
const EntityName = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$" });

/** How an outcome becomes messages. What is absent stays as services/bridge/README.md says. */
export const RouteMessage = Type.Object(
  {
    per: Type.Optional(
      Type.Enum(["outcome", "row"], {
        default: "outcome",
        description: "`row`: a message for each row of the outputs that meets `when` (all, without one)",
      }),
    ),
    subject: Type.Optional(Template),
    session_id: Type.Optional(Template),
    partition_key: Type.Optional(Template),
    properties: Type.Optional(
      Type.Record(Type.String({ pattern: "^[A-Za-z][A-Za-z0-9_.-]{0,63}$" }), Template, { maxProperties: 32 }),
    ),
    ttl_s: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 31_536_000, description: "Time to live of the message at Service Bus" }),
    ),
  },
  closed,
);
export type RouteMessage = Type.Static<typeof RouteMessage>;

/** Longest outage of Service Bus, or of the bridge, over which a repeated send must still be recognised. */
export const OUTAGE_MAX_S_DEFAULT = 600;

/** Which outcomes are mirrored to which topic or queue. Absent parts match anything. */
export const Route = Type.Object(
  {
    name: Token,
    tenant: Type.Optional(Token),
    project: Type.Optional(Token),
    model: Type.Optional(Token),
    state: Type.Optional(Type.Enum([...OUTCOME_STATES])),
    when: Type.Optional(Condition),
    topic: Type.Optional(EntityName),
    queue: Type.Optional(EntityName),
    message: Type.Optional(RouteMessage),
    begin: Type.Optional(
      Type.Enum(["all", "new"], {
        default: "all",
        description:
          "What a route that is new is sent: all outcomes that are retained, or those from then on. A route that is changed goes on where it was",
      }),
    ),
    outage_max_s: Type.Optional(
      Type.Integer({
        minimum: 20,
        maximum: 604_800,
        default: OUTAGE_MAX_S_DEFAULT,
        description: "The entity's duplicate detection window must not be shorter",
      }),
    ),
  },
  { ...closed, title: "Route", description: "Exactly one of `topic` and `queue` is given" },
);
export type Route = Type.Static<typeof Route>;

/** A route as the API takes and lists it: confined to one project. */
export const RouteList = Type.Object(
  { routes: Type.Array(Route) },
  { ...closed, title: "RouteList", description: "Those of the project that the bucket holds, by name" },
);
export type RouteList = Type.Static<typeof RouteList>;

/** Routes of one project that the API takes. Each is a durable consumer and a link. */
export const PROJECT_ROUTES_MAX = 100;

/** Application properties that the bridge sets by itself; subscription rules rely on them. */
const OWN_PROPERTIES = [
  "tenant",
  "project",
  "model",
  "modelVersion",
  "state",
  "requestDigest",
  "requestSequence",
  "row",
  "traceparent",
];

/** What a schema cannot say of a route: each mistake with its JSON pointer. */
export function routeMistakes(route: Route): { at: string; message: string }[] {
  const { message = {} } = route;
  const mistakes: { at: string; message: string }[] = [];
  const wrong = (at: string, text: string) => mistakes.push({ at, message: text });
  if ((route.topic === undefined) === (route.queue === undefined))
    wrong("/", "names both or neither of topic and queue: give exactly one");
  if (route.name.startsWith(REPLY_PREFIX))
    wrong("/name", `begins with "${REPLY_PREFIX}", which names the replies of a source: choose another`);
  if (route.state === "dead" && (route.when || message.per === "row"))
    wrong("/state", "takes dead letters only, which have no outputs: `when` and `per: row` would match nothing");
  const templates = { subject: message.subject, session_id: message.session_id, partition_key: message.partition_key };
  const named = [
    ...Object.entries(templates).map(([name, text]) => [`/message/${name}`, text] as const),
    ...Object.entries(message.properties ?? {}).map(([name, text]) => [`/message/properties/${name}`, text] as const),
  ];
  for (const [at, text] of named) {
    if (text === undefined) continue;
    const parsed = parseTemplate(text);
    if ("mistake" in parsed) wrong(at, parsed.mistake);
    else if (
      message.per !== "row" &&
      parsed.parts.some((part) => typeof part === "object" && part.of === "outcome" && part.name === "row")
    )
      wrong(at, "has {row}, which only a message per row has: set `per: row`");
  }
  for (const name of Object.keys(message.properties ?? {}))
    if (OWN_PROPERTIES.includes(name))
      wrong(`/message/properties/${name}`, "is a property that the bridge sets itself");
  const { session_id, partition_key } = message;
  if (session_id !== undefined && partition_key !== undefined && session_id !== partition_key)
    wrong("/message/partition_key", "differs from session_id: Service Bus wants them equal, so leave it out");
  return mistakes;
}

/** A queue or subscription whose messages are requests for a model. */
export const Source = Type.Object(
  {
    name: Token,
    queue: Type.Optional(EntityName),
    topic: Type.Optional(EntityName),
    subscription: Type.Optional(EntityName),
    sessions: Type.Optional(Type.Boolean({ default: false, description: "The entity requires sessions" })),
    tenant: Token,
    project: Token,
    model: Type.Optional(Type.String({ ...Token, description: "Absent: the application property `model` names it" })),
  },
  { ...closed, title: "Source", description: "Either `queue`, or `topic` and `subscription`, is given" },
);
export type Source = Type.Static<typeof Source>;

/** What a schema cannot say of a source: each mistake with its JSON pointer. */
export function sourceMistakes({ name, queue, topic, subscription }: Source): { at: string; message: string }[] {
  const mistakes: { at: string; message: string }[] = [];
  const isQueue = queue !== undefined && topic === undefined && subscription === undefined;
  const isSubscription = queue === undefined && topic !== undefined && subscription !== undefined;
  if (!isQueue && !isSubscription)
    mistakes.push({ at: "/", message: "names a queue, or a topic with its subscription: give either" });
  if (!isToken(replyDestination(name)))
    mistakes.push({ at: "/name", message: `is too long: with "${REPLY_PREFIX}" before it, it names its replies` });
  return mistakes;
}

/** A subscription that a deployment wants, with the rules that select its messages. */
export const SubscriptionPlan = Type.Object(
  {
    name: EntityName,
    sessions: Type.Optional(Type.Boolean({ default: false })),
    deliveries_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 2_000, default: 10 })),
    lock_s: Type.Optional(Type.Integer({ minimum: 5, maximum: 300, default: 60 })),
    rules: Type.Optional(
      Type.Array(Type.Object({ name: EntityName, sql: Type.String({ minLength: 1, maxLength: 1024 }) }, closed), {
        maxItems: 100,
        description: "Absent: one that takes everything",
      }),
    ),
  },
  closed,
);
export type SubscriptionPlan = Type.Static<typeof SubscriptionPlan>;

/** What a deployment wants of a topic or queue beyond what its routes and sources need anyway. */
export const EntityPlan = Type.Object(
  {
    topic: Type.Optional(EntityName),
    queue: Type.Optional(EntityName),
    sessions: Type.Optional(
      Type.Boolean({ default: false, description: "Of a queue; a topic's subscriptions say their own" }),
    ),
    duplicate_detection_s: Type.Optional(Type.Integer({ minimum: 20, maximum: 604_800 })),
    size_max_mb: Type.Optional(Type.Integer({ minimum: 1024, maximum: 81_920 })),
    subscriptions: Type.Optional(Type.Array(SubscriptionPlan, { maxItems: 2_000 })),
  },
  { ...closed, title: "EntityPlan", description: "Exactly one of `topic` and `queue` is given" },
);
export type EntityPlan = Type.Static<typeof EntityPlan>;

/**
 * The bridge's configuration file. `entities` is what `millrace azure plan` wants there to be, whose dead letters the bridge
 * watches, and where routes of the bucket may go.
 */
export const RoutesFile = Type.Object(
  {
    routes: Type.Array(Route, { maxItems: 1_000 }),
    sources: Type.Optional(Type.Array(Source, { maxItems: 1_000 })),
    entities: Type.Optional(Type.Array(EntityPlan, { maxItems: 1_000 })),
  },
  { ...closed, title: "Routes file" },
);
export type RoutesFile = Type.Static<typeof RoutesFile>;
