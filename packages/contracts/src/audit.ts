import Type from "typebox";
import { OUTCOME_STATES, TOKEN_PATTERN } from "./subjects.ts";

/**
 * The question that ingest puts to audit on {@link AUDIT_QUERY_SUBJECT} and the answer it gives (JSON both ways), and
 * thereby `GET /v1/audit/entries` (the question as the query string) and `GET /v1/audit/head` (`limit` 0).
 * What is hashed, and how the chain is linked: docs/adr/0003-ledger-canonical-bytes.md.
 */

/**
 * `outcome`: a result or a dead letter. `event`: what happened around one. `unreadable`: a message of OUTCOMES that is
 * not an outcome; it is kept as it came.
 */
export const LEDGER_KINDS = ["outcome", "event", "unreadable"] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

/** Names the key that signs an entry. No entry is signed yet. */
export const NO_KEY = "none";

/** Entries one answer may carry; it carries fewer when their bytes would not fit a message. */
export const AUDIT_LIMIT_MAX = 1_000;
export const AUDIT_LIMIT_DEFAULT = 100;

const Token = Type.String({ pattern: TOKEN_PATTERN });
const Hash = Type.String({ pattern: "^sha256:[0-9a-f]{64}$" });

export const AuditQuestion = Type.Object(
  {
    id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 512, description: "A request id, an outcome id or an event id" }),
    ),
    tenant: Type.Optional(Token),
    project: Type.Optional(Token),
    model: Type.Optional(Token),
    state: Type.Optional(Type.Enum([...OUTCOME_STATES])),
    kind: Type.Optional(Type.Enum([...LEDGER_KINDS])),
    from: Type.Optional(Type.String({ maxLength: 40, description: "RFC 3339; entries of this time or later" })),
    to: Type.Optional(Type.String({ maxLength: 40, description: "RFC 3339; entries before this time" })),
    order: Type.Optional(
      Type.Enum(["asc", "desc"], { default: "asc", description: "By ledger position; desc = newest first" }),
    ),
    after: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: "Go on after this ledger position, in `order`: the last answer's `next`",
      }),
    ),
    limit: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: AUDIT_LIMIT_MAX,
        default: AUDIT_LIMIT_DEFAULT,
        description: "0 asks for the head only",
      }),
    ),
    include: Type.Optional(
      Type.Enum(["record"], { description: "record = with the canonical bytes of each entry, in base64" }),
    ),
  },
  { additionalProperties: false, title: "AuditQuestion", description: "Which ledger entries; absent parts match any" },
);
export type AuditQuestion = Type.Static<typeof AuditQuestion>;

export const AuditEntry = Type.Object(
  {
    seq: Type.Integer({ minimum: 1, description: "Position in the ledger" }),
    kind: Type.Enum([...LEDGER_KINDS]),
    id: Type.String({ description: "Outcome id (`<request id>.<attempt>`) or event id" }),
    type: Type.String({ description: "CloudEvents type" }),
    stream: Type.String(),
    stream_sequence: Type.Integer({ minimum: 1 }),
    subject: Type.String(),
    tenant: Type.Optional(Type.String()),
    project: Type.Optional(Type.String()),
    model: Type.Optional(Type.String()),
    request_id: Type.Optional(Type.String()),
    state: Type.Optional(Type.Enum([...OUTCOME_STATES])),
    time: Type.String({ description: "RFC 3339, UTC: when the outcome was completed or the event happened" }),
    principal: Type.Optional(Type.String()),
    correlation_id: Type.Optional(Type.String()),
    request_digest: Type.Optional(Hash),
    leaf_hash: Hash,
    chain_hash: Hash,
    key_id: Type.String({ description: `\`${NO_KEY}\`: the entry is not signed` }),
    record_bytes: Type.Integer({ minimum: 0, description: "Length of the canonical bytes" }),
    header_length: Type.Optional(
      Type.Integer({ minimum: 0, description: "Length of their JSON part, when raw tensors follow it" }),
    ),
    record: Type.Optional(
      Type.String({ description: "The canonical bytes, base64; absent when they are too large for an answer" }),
    ),
  },
  { additionalProperties: false, title: "AuditEntry" },
);
export type AuditEntry = Type.Static<typeof AuditEntry>;

export const AuditHead = Type.Object(
  {
    entries: Type.Integer({ minimum: 0, description: "How many entries the ledger has: the position of the last" }),
    chain_hash: Hash,
    key_id: Type.String(),
    time: Type.Optional(Type.String({ description: "Time of the last entry" })),
  },
  {
    additionalProperties: false,
    title: "AuditHead",
    description: "The end of the hash chain: keep it, and nobody can rewrite what came before",
  },
);
export type AuditHead = Type.Static<typeof AuditHead>;

export const AuditPage = Type.Object(
  {
    entries: Type.Array(AuditEntry),
    next: Type.Optional(Type.Integer({ description: "Ask with `after` = this for the entries that follow" })),
    head: AuditHead,
  },
  { additionalProperties: false, title: "AuditPage" },
);
export type AuditPage = Type.Static<typeof AuditPage>;

/** What comes back on the subject: a page, or what is wrong with the question. */
export const AuditAnswer = Type.Union(
  [
    AuditPage,
    Type.Object(
      {
        problem: Type.Object(
          { code: Type.Literal("invalid-query"), detail: Type.String(), at: Type.Optional(Type.String()) },
          { additionalProperties: false },
        ),
      },
      { additionalProperties: false },
    ),
  ],
  { title: "AuditAnswer" },
);
export type AuditAnswer = Type.Static<typeof AuditAnswer>;

/** The question on {@link AUDIT_POSITIONS_SUBJECT}: which positions of a stream the ledger holds rows of. */
export const LedgerPositionsQuestion = Type.Object(
  {
    stream: Type.String({ minLength: 1, maxLength: 64 }),
    after: Type.Integer({ minimum: 0, description: "Go on after this ledger position: the last answer's `next`" }),
  },
  { additionalProperties: false, title: "LedgerPositionsQuestion" },
);
export type LedgerPositionsQuestion = Type.Static<typeof LedgerPositionsQuestion>;

export const LedgerPositions = Type.Object(
  {
    /** How far the ledger has taken the stream; absent before its first message. */
    position: Type.Optional(Type.Object({ created: Type.String(), sequence: Type.Integer({ minimum: 0 }) })),
    runs: Type.Array(Type.Tuple([Type.Integer({ minimum: 1 }), Type.Integer({ minimum: 1 })]), {
      description: "Stream positions `[first, last]` that rows stand for, in ledger order",
    }),
    next: Type.Optional(Type.Integer({ description: "Ask with `after` = this for those that follow" })),
  },
  { title: "LedgerPositions" },
);
export type LedgerPositions = Type.Static<typeof LedgerPositions>;
