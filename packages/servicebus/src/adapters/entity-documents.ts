import type { AuthorizationRule } from "../config.ts";
import type { Entity, EntityKind, Properties } from "../entity-catalog.ts";
import { describeAuthorizationRules, readAuthorizationRules } from "./authorization-documents.ts";
import type { EntityCounts } from "./entity-counts.ts";
import { child, childText, textElement, type XmlElement } from "./xml.ts";

const FOREVER = "P10675199DT2H48M5.4775807S";

type Kind = "duration" | "number" | "boolean" | "text";
interface Setting {
  readonly name: string;
  readonly kind: Kind;
  readonly of: readonly EntityKind[];
  /** What an entity has that was not given a value. */
  readonly otherwise?: string | number | boolean;
  /** Only this value is possible here: another one would change what happens. */
  readonly fixed?: true;
}

/** In the order in which Azure writes them; other SDKs rely on it. */
const SETTINGS: readonly Setting[] = [
  { name: "LockDuration", kind: "duration", of: ["queue", "subscription"], otherwise: "PT1M" },
  { name: "MaxSizeInMegabytes", kind: "number", of: ["queue", "topic"], otherwise: 1024 },
  { name: "RequiresDuplicateDetection", kind: "boolean", of: ["queue", "topic"], otherwise: false },
  { name: "RequiresSession", kind: "boolean", of: ["queue", "subscription"], otherwise: false },
  { name: "DefaultMessageTimeToLive", kind: "duration", of: ["queue", "topic", "subscription"], otherwise: FOREVER },
  { name: "DeadLetteringOnMessageExpiration", kind: "boolean", of: ["queue", "subscription"], otherwise: false },
  {
    name: "DeadLetteringOnFilterEvaluationExceptions",
    kind: "boolean",
    of: ["subscription"],
    otherwise: true,
  },
  { name: "DuplicateDetectionHistoryTimeWindow", kind: "duration", of: ["queue", "topic"], otherwise: "PT10M" },
  { name: "MaxDeliveryCount", kind: "number", of: ["queue", "subscription"], otherwise: 10 },
  { name: "EnableBatchedOperations", kind: "boolean", of: ["queue", "topic", "subscription"], otherwise: true },
  { name: "Status", kind: "text", of: ["queue", "topic", "subscription"], otherwise: "Active" },
  { name: "ForwardTo", kind: "text", of: ["queue", "subscription"] },
  { name: "UserMetadata", kind: "text", of: ["queue", "topic", "subscription"] },
  { name: "SupportOrdering", kind: "boolean", of: ["topic"], otherwise: true },
  {
    name: "AutoDeleteOnIdle",
    kind: "duration",
    of: ["queue", "topic", "subscription"],
    otherwise: FOREVER,
  },
  { name: "EnablePartitioning", kind: "boolean", of: ["queue", "topic"], otherwise: false },
  { name: "ForwardDeadLetteredMessagesTo", kind: "text", of: ["queue", "subscription"] },
  { name: "EntityAvailabilityStatus", kind: "text", of: ["queue", "topic", "subscription"], otherwise: "Available" },
  { name: "EnableExpress", kind: "boolean", of: ["queue", "topic"], otherwise: false, fixed: true },
  { name: "MaxMessageSizeInKilobytes", kind: "number", of: ["queue", "topic"], otherwise: 256 },
];

const ROOTS = {
  queue: "QueueDescription",
  topic: "TopicDescription",
  subscription: "SubscriptionDescription",
} as const;
const IGNORED = new Set(["DefaultRuleDescription", "EntityAvailabilityStatus"]);

export type Described =
  | { readonly ok: true; readonly kind: EntityKind; readonly properties: Properties; readonly defaultRule?: XmlElement }
  | { readonly ok: false; readonly why: string };

/** Azure keeps a partitioned entity in so many parts, each of the size that was asked for. */
const PARTITIONS = 16;
const DEFAULT_SIZE_MB = 1024;
/** .NET's first moment, by which Azure says "never". */
const NEVER = "0001-01-01T00:00:00Z";

/** Reads the description in a request; a setting that is not supported is refused rather than ignored. */
export function readDescription(description: XmlElement): Described {
  const kind = (Object.keys(ROOTS) as EntityKind[]).find((one) => ROOTS[one] === description.name);
  if (!kind) return { ok: false, why: `A ${description.name} is nothing that can be created here.` };
  const properties: Record<string, unknown> = {};
  for (const { name } of description.children) {
    const value = childText(description, name);
    if (IGNORED.has(name)) continue;
    if (name === "AuthorizationRules" && kind !== "subscription") {
      properties[name] = readAuthorizationRules(child(description, name)!);
      continue;
    }
    const setting = SETTINGS.find((one) => one.name === name && one.of.includes(kind));
    if (!setting) return { ok: false, why: `${name} of a ${kind} is not supported.` };
    if (value === undefined && setting.name !== "UserMetadata" && !setting.name.startsWith("Forward")) continue;
    const read = readValue(setting.kind, value ?? "");
    if (setting.fixed && read !== setting.otherwise)
      return { ok: false, why: `${name} can only be ${setting.otherwise}.` };
    if (!setting.fixed) properties[name] = read;
  }
  const defaultRule = description.children.find(({ name }) => name === "DefaultRuleDescription");
  return { ok: true, kind, properties, ...(defaultRule && { defaultRule }) };
}

/** The settings of an entity that is created: a partitioned one is as large as all its parts. */
export function whenCreated(properties: Properties): Properties {
  if (!properties.EnablePartitioning) return properties;
  const size = (properties.MaxSizeInMegabytes ?? DEFAULT_SIZE_MB) as number;
  return { ...properties, MaxSizeInMegabytes: size * PARTITIONS };
}

/** A queue's, topic's or subscription's description as the SDKs read it. */
export function describe({ kind, properties, createdAt, updatedAt }: Entity, counts: EntityCounts): string {
  const rules = (properties.AuthorizationRules ?? []) as readonly AuthorizationRule[];
  const settings = SETTINGS.filter(({ of }) => of.includes(kind)).map(({ name, otherwise }) => {
    const before = name === "Status" && kind !== "subscription" ? describeAuthorizationRules(rules) : "";
    return before + textElement(name, given(properties[name]) ?? otherwise);
  });
  const at = (time: number) => new Date(time).toISOString();
  const running = [
    textElement("SizeInBytes", kind === "subscription" ? undefined : counts.bytes),
    textElement("MessageCount", kind === "topic" ? undefined : totalOf(counts)),
    textElement("SubscriptionCount", kind === "topic" ? counts.subscriptions : undefined),
    textElement("CreatedAt", at(createdAt)),
    textElement("UpdatedAt", at(updatedAt)),
    textElement("SqlFilterCount", kind === "topic" ? counts.sqlFilters : undefined),
    textElement("CorrelationFilterCount", kind === "topic" ? counts.correlationFilters : undefined),
    textElement("AccessedAt", counts.accessedAt === undefined ? NEVER : at(counts.accessedAt)),
    '<CountDetails xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus">',
    textElement("d2p1:ActiveMessageCount", counts.active),
    textElement("d2p1:DeadLetterMessageCount", counts.deadLettered),
    textElement("d2p1:ScheduledMessageCount", counts.scheduled),
    textElement("d2p1:TransferMessageCount", 0),
    textElement("d2p1:TransferDeadLetterMessageCount", counts.transferDeadLettered),
    "</CountDetails>",
  ];
  return contentElement(ROOTS[kind], [...settings, ...running].join(""));
}

const totalOf = ({ active, deadLettered, transferDeadLettered, scheduled }: EntityCounts) =>
  active + deadLettered + transferDeadLettered + scheduled;

export const contentElement = (name: string, content: string) =>
  `<${name} xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">${content}</${name}>`;

const given = (value: unknown) => (value === "" ? undefined : (value as string | number | boolean | undefined));

function readValue(kind: Kind, text: string): string | number | boolean {
  if (kind === "number") return Number(text);
  return kind === "boolean" ? text.toLowerCase() === "true" : text;
}
