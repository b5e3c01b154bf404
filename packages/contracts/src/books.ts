import Type from "typebox";

/**
 * How far retention has come: every position up to `through` that is empty was emptied by it, `retired` of them. Written
 * before it deletes, so that a gap behind it is explained and one ahead of it is not.
 */
export const RetentionMark = Type.Object(
  {
    created: Type.String({ description: "When the stream was made: another one is not explained by this mark" }),
    through: Type.Integer({ minimum: 0 }),
    retired: Type.Integer({ minimum: 0 }),
    stored_until: Type.String({ description: "RFC 3339: what it removed was stored at this time or before" }),
    at: Type.String(),
  },
  { additionalProperties: false, title: "RetentionMark" },
);
export type RetentionMark = Type.Static<typeof RetentionMark>;

/**
 * How far the sweeper has reconciled a stream: every acknowledged request up to here has its outcome, by consumer; in
 * EVENTS, every decision up to here is carried out. It saves a keeper that starts from looking at everything again.
 */
export const SweepMark = Type.Object(
  { created: Type.String(), through: Type.Record(Type.String(), Type.Integer({ minimum: 0 })) },
  { additionalProperties: false, title: "SweepMark" },
);
export type SweepMark = Type.Static<typeof SweepMark>;

/**
 * The books: whether everything that was accepted is accounted for. The keeper reads the streams and answers on
 * `ask.keeper.check`; `GET /v1/check` and `millrace check` show it.
 *
 * accepted = done + dead + pending, where the last outcome of an id counts, and an id is pending while its last outcome
 * answers an older attempt than that of its last request (attempts, not positions: a request that was put into its
 * queue again may stand behind its own outcome). Retention takes settled ids out of both sides.
 */

const Count = Type.Integer({ minimum: 0 });
const Sequence = Type.Integer({ minimum: 0 });

/** What a finding says; the first group breaks the promise, `standing-consumer` and `late-effect` may heal by themselves. */
export const FINDING_KINDS = [
  /** No worker holds or will get the request, and it has no outcome. */
  "lost-request",
  /** An outcome whose request is not, and never was, in its stream. */
  "outcome-without-request",
  /** A position of a stream is empty, and retention did not empty it. */
  "gap",
  /** A delivery was recorded for an outcome that does not exist. */
  "effect-without-outcome",
  /** A consumer acknowledged an outcome and no record of its delivery exists. */
  "outcome-without-effect",
  /** Ledger and stream differ. */
  "ledger-differs",
  /** A consumer has work and has not moved for a while. */
  "standing-consumer",
  /** A dead letter was decided to be redriven and its new request is not there yet. */
  "unfinished-redrive",
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

export const Finding = Type.Object(
  {
    kind: Type.Enum([...FINDING_KINDS]),
    /** Names what is wrong: an id, a consumer, a stream position. */
    name: Type.String(),
    detail: Type.String(),
  },
  { additionalProperties: false, title: "Finding" },
);
export type Finding = Type.Static<typeof Finding>;

export const CheckReport = Type.Object(
  {
    balanced: Type.Boolean({ description: "True when nothing was found" }),
    at: Type.String({ description: "RFC 3339" }),
    duration_ms: Count,
    ids: Type.Object(
      { accepted: Count, done: Count, dead: Count, pending: Count, lost: Count },
      { description: "Distinct ids whose request is retained; accepted = done + dead + pending + lost, and lost = 0" },
    ),
    dead_letters: Type.Object({ open: Count, redriven: Count, discarded: Count }),
    streams: Type.Array(
      Type.Object({
        name: Type.String(),
        messages: Count,
        first_sequence: Sequence,
        last_sequence: Sequence,
        retired: Type.Integer({ minimum: 0, description: "Messages that retention has removed" }),
        gaps: Type.Integer({ minimum: 0, description: "Empty positions that retention does not explain" }),
      }),
    ),
    consumers: Type.Array(
      Type.Object({
        stream: Type.String(),
        name: Type.String(),
        pending: Count,
        ack_pending: Count,
        redelivered: Count,
        acknowledged_sequence: Type.Integer({ minimum: 0, description: "All before it, and itself, are settled" }),
        standing: Type.Boolean({ description: "Has work, and has not moved for a while" }),
      }),
    ),
    effects: Type.Array(
      Type.Object({
        consumer: Type.String({ description: "Whose acknowledgements are the record of delivery" }),
        outcomes: Type.Integer({ minimum: 0, description: "Outcomes it was given and has acknowledged" }),
        recorded: Type.Optional(Type.Integer({ minimum: 0, description: "Of which a delivery event or row exists" })),
      }),
    ),
    findings: Type.Array(Finding, { maxItems: 1_000, description: "The first ones" }),
    findings_total: Count,
  },
  { additionalProperties: false, title: "CheckReport" },
);
export type CheckReport = Type.Static<typeof CheckReport>;
