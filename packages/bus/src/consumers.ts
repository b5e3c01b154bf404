import type { Bus } from "./bus.ts";

/** A durable consumer of a stream: what it is given, and how far it has come. */
export type ConsumerState = {
  stream: string;
  name: string;
  /** Subjects it is given; empty = all. */
  filters: readonly string[];
  /** Sees headers only: it looks, and does not work. */
  headers_only: boolean;
  /** Every message of its filters up to this position, and this one, is acknowledged. */
  acknowledged_sequence: number;
  delivered_sequence: number;
  /** Deliveries so far: it moves when messages come again, too. */
  deliveries: number;
  pending: number;
  ack_pending: number;
  redelivered: number;
  /** Pulls that wait for messages. */
  waiting: number;
  /** When it was made, in milliseconds since 1970. A consumer of new messages is given those stored after it. */
  created_ms: number;
  /** Begins with what comes after it was made, not with all that is retained. */
  begins_new: boolean;
  metadata: Readonly<Record<string, string>>;
};

type Info = {
  name: string;
  created: string;
  config: {
    durable_name?: string;
    deliver_policy: string;
    filter_subject?: string;
    filter_subjects?: string[];
    headers_only?: boolean;
    metadata?: Record<string, string>;
  };
  delivered: { consumer_seq: number; stream_seq: number };
  ack_floor: { consumer_seq: number; stream_seq: number };
  num_pending: number;
  num_ack_pending: number;
  num_redelivered: number;
  num_waiting: number;
};
type Page = {
  error?: { description: string };
  total: number;
  limit: number;
  consumers?: Info[] | null;
  missing?: string[];
};

const PAGES_MAX = 1_000;
const TRIES = 3;

/**
 * Every durable consumer of a stream.
 * @throws when the state of one of them is not known: who acts on "all have acknowledged" must not act then
 */
export async function listConsumers(bus: Bus, stream: string): Promise<ConsumerState[]> {
  for (let attempt = 1; ; attempt++) {
    const { consumers, missing } = await list(bus, stream);
    if (missing.length === 0) return consumers;
    if (attempt === TRIES) throw new Error(`${stream}: no server speaks for the consumers ${missing.join(", ")}`);
  }
}

async function list(bus: Bus, stream: string): Promise<{ consumers: ConsumerState[]; missing: string[] }> {
  const consumers: ConsumerState[] = [];
  const missing: string[] = [];
  for (let offset = 0, page = 0; page < PAGES_MAX; page++) {
    const subject = `$JS.API.CONSUMER.LIST.${stream}`;
    const reply = await bus.nc.request(subject, JSON.stringify({ offset }), { timeout: 10_000 });
    const answer = reply.json<Page>();
    if (answer.error) throw new Error(`the consumers of ${stream} cannot be listed: ${answer.error.description}`);
    const infos = answer.consumers ?? [];
    missing.push(...(answer.missing ?? []));
    consumers.push(...infos.filter(({ config }) => config.durable_name).map((info) => toState(stream, info)));
    offset += infos.length + (answer.missing?.length ?? 0);
    if (offset >= answer.total || infos.length === 0) break;
  }
  return { consumers, missing };
}

function toState(stream: string, info: Info): ConsumerState {
  const { config } = info;
  return {
    stream,
    name: info.name,
    filters: config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []),
    headers_only: config.headers_only ?? false,
    acknowledged_sequence: info.ack_floor.stream_seq,
    delivered_sequence: info.delivered.stream_seq,
    deliveries: info.delivered.consumer_seq,
    pending: info.num_pending,
    ack_pending: info.num_ack_pending,
    redelivered: info.num_redelivered,
    waiting: info.num_waiting,
    created_ms: Date.parse(info.created),
    begins_new: config.deliver_policy === "new",
    metadata: config.metadata ?? {},
  };
}

/**
 * Deletes a durable consumer: what it had not been given is given to nobody, and retention no longer waits for it.
 * Answers how many messages those were; undefined when there is no such consumer.
 */
export async function removeConsumer(bus: Bus, stream: string, name: string): Promise<number | undefined> {
  try {
    const { num_pending, num_ack_pending } = await bus.jsm.consumers.info(stream, name);
    await bus.jsm.consumers.delete(stream, name);
    return num_pending + num_ack_pending;
  } catch (cause) {
    if ((cause as { api_error?: { code?: number } }).api_error?.code === 404) return undefined;
    throw cause;
  }
}

/** Whether a NATS filter matches a subject. https://docs.nats.io/nats-concepts/subjects#wildcards */
export function matches(filter: string, subject: string): boolean {
  const wanted = filter.split(".");
  const tokens = subject.split(".");
  for (const [index, token] of wanted.entries()) {
    if (token === ">") return tokens.length > index;
    if (index >= tokens.length || (token !== "*" && token !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}
