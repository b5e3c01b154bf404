import {
  BUCKETS,
  type BucketName,
  consumerName,
  EVENTS,
  OUTCOMES,
  REQUESTS_CHAT,
  REQUESTS_TENSOR,
  STREAMS,
} from "./streams.ts";
import { SUBMISSION_SUBJECTS } from "./submission-call.ts";

/**
 * Who may say what on NATS. Default deny: a user may publish and subscribe to what stands here and nothing else.
 * Every process connects as its own user and receives replies only under its own inbox prefix.
 */
export type UserPermissions = {
  publish: readonly string[];
  subscribe: readonly string[];
  /** May answer a request it received (once, to the reply subject it came with). */
  allowResponses?: boolean;
};

/** Inbox prefix of a user; without it, one process could read another's replies. */
export const inboxPrefix = (user: string): string => `_INBOX_${user}`;

/** Subject on which ingest asks audit, and audit's active writer answers. */
export const AUDIT_QUERY_SUBJECT = "ask.audit.query";
/** Subject on which the keeper asks audit's active writer which stream positions the ledger has. */
export const AUDIT_POSITIONS_SUBJECT = "ask.audit.positions";
/** Subject on which ingest asks the keeper for the books. */
export const CHECK_SUBJECT = "ask.keeper.check";

const api = (...names: string[]): string[] => names.map((name) => `$JS.API.${name}`);

/** Create, inspect and pull durable consumers of a stream, and acknowledge their messages (both ack-subject forms). */
const consume = (stream: string): string[] => [
  ...api(
    `CONSUMER.CREATE.${stream}.>`,
    `CONSUMER.INFO.${stream}.*`,
    `CONSUMER.MSG.NEXT.${stream}.*`,
    `STREAM.INFO.${stream}`,
  ),
  `$JS.ACK.${stream}.>`,
  `$JS.ACK.*.*.${stream}.>`,
];

/** Read single messages: direct get, and the leader's own answer where a replica may be behind. */
const read = (stream: string): string[] =>
  api(`DIRECT.GET.${stream}`, `DIRECT.GET.${stream}.>`, `STREAM.MSG.GET.${stream}`, `STREAM.INFO.${stream}`);

/** Follow a bucket (ordered ephemeral consumer) and read keys. */
const watch = (bucket: BucketName): string[] => {
  const stream = `KV_${BUCKETS[bucket].name}`;
  return [
    ...api("INFO"), // the client asks whether JetStream is there before it opens a bucket
    ...read(stream),
    // The client begins again after a server restart with the older subject, which has no name in it.
    ...api(`CONSUMER.CREATE.${stream}`, `CONSUMER.CREATE.${stream}.>`),
    ...api(`CONSUMER.INFO.${stream}.*`, `CONSUMER.DELETE.${stream}.*`),
    "$JS.FC.>",
  ];
};

const write = (bucket: BucketName): string => `$KV.${BUCKETS[bucket].name}.>`;

const user = (name: string, publish: string[], subscribe: string[] = [], allowResponses = false): UserPermissions => ({
  publish: [...new Set(publish)].sort(),
  subscribe: [`${inboxPrefix(name)}.>`, ...subscribe],
  ...(allowResponses ? { allowResponses } : {}),
});

/** Scan a stream with an ordered consumer of one's own. */
const scan = (stream: string): string[] =>
  api(
    `CONSUMER.CREATE.${stream}.>`,
    `CONSUMER.INFO.${stream}.*`,
    `CONSUMER.MSG.NEXT.${stream}.*`,
    `CONSUMER.DELETE.${stream}.*`,
  );

/** Consume outcomes and record each delivery once: a batch that is refused asks which of its events exist. */
const deliver = ["evt.*.*.delivery.>", ...consume(OUTCOMES.name), `$JS.API.DIRECT.GET.${EVENTS.name}`];

export const USERS = {
  /** Provisions streams and buckets; also the identity of a human operator's tools. The only one without limits. */
  operator: { publish: [">"], subscribe: [">"] },
  ingest: user(
    "ingest",
    [
      REQUESTS_TENSOR.subjects[0],
      "req.chat.>",
      ...read(REQUESTS_TENSOR.name),
      ...read(REQUESTS_CHAT.name),
      ...read(OUTCOMES.name),
      ...read(EVENTS.name), // what was decided about a dead letter
      "evt.*.*.dead-letter.>",
      ...api(`CONSUMER.INFO.${REQUESTS_TENSOR.name}.*`, `CONSUMER.INFO.${REQUESTS_CHAT.name}.*`), // backlogs
      ...watch("models"),
      ...watch("cluster"),
      ...watch("lanes"),
      write("lanes"),
      ...watch("routes"),
      write("routes"),
      AUDIT_QUERY_SUBJECT,
      CHECK_SUBJECT,
    ],
    ["live.>", SUBMISSION_SUBJECTS],
    true,
  ),
  inference: user("inference", [
    "out.>",
    ...consume(REQUESTS_TENSOR.name),
    ...read(REQUESTS_TENSOR.name),
    ...read(OUTCOMES.name),
    ...watch("models"),
    write("models"),
    ...watch("lanes"),
    write("lanes"),
    ...watch("cluster"),
  ]),
  notifier: user("notifier", [...deliver, ...watch("cluster")]),
  audit: user(
    "audit",
    [
      ...consume(OUTCOMES.name),
      ...consume(EVENTS.name),
      // Its durables are made anew behind the ledger's own position, so that nothing overtakes.
      ...(["OUTCOMES", "EVENTS"] as const).map(
        (stream) => `$JS.API.CONSUMER.DELETE.${stream}.${consumerName.audit(stream)}`,
      ),
      ...watch("cluster"),
    ],
    [AUDIT_QUERY_SUBJECT, AUDIT_POSITIONS_SUBJECT],
    true,
  ),
  bridge: user("bridge", [
    ...deliver,
    // Of a route that has ended: retention waits for every consumer. Of one with sessions: back to where all is sent.
    ...api(`CONSUMER.DELETE.${OUTCOMES.name}.*`, `CONSUMER.RESET.${OUTCOMES.name}.*`),
    ...watch("cluster"),
    ...watch("routes"),
    ...watch("sources"),
    "in.>",
    "evt.*.*.servicebus.>",
    ...read(EVENTS.name), // what was last said of dead letters
  ]),
  // Reads everything, removes what retention lets go, and puts requests back into their queue. It writes no outcome:
  // whatever it finds without one goes to a worker again.
  keeper: user(
    "keeper",
    [
      "req.>",
      "evt.*.*.request.>",
      ...STREAMS.flatMap(({ name }) => [
        ...read(name),
        ...scan(name),
        ...api(`STREAM.MSG.DELETE.${name}`, `CONSUMER.LIST.${name}`),
      ]),
      ...watch("cluster"),
      write("cluster"),
      ...read(`KV_${BUCKETS.marks.name}`),
      write("marks"),
      AUDIT_POSITIONS_SUBJECT,
      AUDIT_QUERY_SUBJECT,
    ],
    [CHECK_SUBJECT],
    true,
  ),
} as const satisfies Record<string, UserPermissions>;

export type UserName = keyof typeof USERS;
export const SERVICE_NAMES = ["ingest", "inference", "notifier", "audit", "bridge", "keeper"] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

/** Streams the provisioner makes, in the order it makes them. */
export const PROVISIONED = { streams: STREAMS, buckets: Object.values(BUCKETS) } as const;
