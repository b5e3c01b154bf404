import type { Lane } from "./lanes.ts";

/**
 * The JetStream streams, buckets and durable consumers. Declared here once; `bus` creates them (`provision`), the
 * permission table and the AsyncAPI document are derived from them.
 */

const MiB = 1024 * 1024;

export type StreamDeclaration = {
  name: string;
  subjects: readonly string[];
  description: string;
  /** Upper bound on what the stream holds. Streams refuse new messages when full; they never drop old ones. */
  max_bytes: number;
  /** Stored messages are republished here (core NATS, at most once), for listeners that are live. */
  republish?: { src: string; dest: string };
};

export const REQUESTS_TENSOR = {
  name: "REQUESTS_TENSOR",
  subjects: ["req.tensor.*.*.*.*.*"],
  description: "What was asked of tensor models",
  max_bytes: 2048 * MiB,
} as const satisfies StreamDeclaration;

export const REQUESTS_CHAT = {
  name: "REQUESTS_CHAT",
  subjects: ["req.chat.*.*.*.*.*"],
  description: "What was asked of language models; its own stream, so that a stalled LLM never blocks sensors",
  max_bytes: 1024 * MiB,
} as const satisfies StreamDeclaration;

export const OUTCOMES = {
  name: "OUTCOMES",
  subjects: ["out.*.*.*.*.*"],
  description: "The terminal state of each request: a result, or a dead letter with its reason",
  max_bytes: 4096 * MiB,
  republish: { src: "out.>", dest: "live.>" },
} as const satisfies StreamDeclaration;

export const EVENTS = {
  name: "EVENTS",
  subjects: ["evt.*.*.*.>"],
  description: "What happened around requests: deliveries made and failed, models deployed, access granted or refused",
  max_bytes: 1024 * MiB,
} as const satisfies StreamDeclaration;

export const STREAMS = [REQUESTS_TENSOR, REQUESTS_CHAT, OUTCOMES, EVENTS] as const;

/** The request stream of a runner kind. */
export const REQUEST_STREAM = { tensor: REQUESTS_TENSOR, chat: REQUESTS_CHAT } as const;

/** Key-value buckets. `cluster` is written by the provisioner and the keeper only, `marks` by the keeper. */
export const BUCKETS = {
  models: { name: "models", description: "Which models are deployed: manifest and digest by model name" },
  routes: { name: "routes", description: "What is mirrored to Service Bus, by name of the route" },
  sources: {
    name: "sources",
    description: "Which Service Bus queues and subscriptions are taken as requests, by name",
  },
  lanes: { name: "lanes", description: "Which lanes exist: kind, priority, tenant and model that requests came for" },
  cluster: { name: "cluster", description: "What the brokers guarantee, as read from their settings" },
  marks: { name: "marks", description: "How far the keeper has come in each stream: removing and reconciling" },
} as const;
export type BucketName = keyof typeof BUCKETS;

/** Key in `cluster` under which the durability that a publish acknowledgement means is written. */
export const DURABILITY_KEY = "durability";
export const DURABILITIES = ["memory", "replicated", "fsync"] as const;
/**
 * What an acknowledged publish has survived: `fsync` = written through to disk on the server; `replicated` = held by
 * a majority of three or more servers; `memory` = handed to the operating system, flushed later.
 */
export type Durability = (typeof DURABILITIES)[number];

/** Key in `marks` of how far retention has come in a stream: `RetentionMark`. */
export const retentionKey = (stream: string): string => `retention.${stream}`;
/** Key in `marks` of how far a stream is reconciled: `SweepMark`. */
export const sweepKey = (stream: string): string => `sweep.${stream}`;

/** Settings that every durable consumer shares. */
export const CONSUMER_DEFAULTS = {
  /**
   * Time the server waits for an ack or a `working()` before it delivers again. Work under way says `working()` at a
   * third of it, so this is how long the messages of a killed process wait, not how long work may take.
   */
  ack_wait_ms: 10_000,
  /** A delivery past this number is dead-lettered before it is parsed; the server itself never gives up. */
  deliveries_max: 20,
} as const;

/** What a durable consumer's metadata says to whoever checks the books. */
export const CONSUMER_METADATA = {
  /** `each`: every outcome it acknowledges has a delivery event. Absent: some do, or none. */
  effect: "millrace-effect",
  /** RFC 3339: since when it is so, with the filter that it has now. */
  since: "millrace-since",
} as const;

/** Names the replies of a source where routes and rules have their names: in consumers, effects and delivery events. */
export const replyDestination = (source: string): string => `${REPLY_PREFIX}${source}`;
/** No route's name begins so. */
export const REPLY_PREFIX = "reply-";

/** Name of a durable consumer: built from checked tokens only. `=` parts them, which no token can hold. */
export const consumerName = {
  /** One per lane, so that no tenant, model or priority stops another. */
  lane: ({ kind, priority, tenant, model }: Lane) => ["inference", kind, priority, tenant, model].join("="),
  /** Sees the headers of every request: registers lanes, and dead-letters what no worker pool will take. */
  strays: () => "inference-strays",
  notifier: (rule: string) => `notifier-${rule}`,
  audit: (stream: "OUTCOMES" | "EVENTS") => `audit-${stream.toLowerCase()}`,
  bridge: (route: string) => `bridge-${route}`,
  bridgeReply: (source: string) => `bridge-${replyDestination(source)}`,
} as const;

/** The lane that a consumer of {@link consumerName.lane} serves; undefined for any other. */
export function laneOfConsumer(name: string): Record<"kind" | "priority" | "tenant" | "model", string> | undefined {
  const [service, kind, priority, tenant, model, ...more] = name.split("=");
  if (service !== "inference" || !kind || !priority || !tenant || !model || more.length > 0) return undefined;
  return { kind, priority, tenant, model };
}
