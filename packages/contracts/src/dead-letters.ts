import Type from "typebox";
import { DeadOutcome } from "./outcome.ts";
import { eventSubject, PRIORITIES, type RequestAddress, TOKEN_PATTERN } from "./subjects.ts";

/**
 * What people do about dead letters. A decision is an event with one place per dead letter, written by compare-and-set
 * before anything follows from it: of two redrives, or a redrive and a discard, one is refused.
 */

/** `evt.<tenant>.<project>.dead-letter.<model>.<id>.<attempt>`: where the one decision about a dead letter stands. */
export const deadLetterSubject = ({ tenant, project, model, id }: RequestAddress, attempt: number): string =>
  eventSubject({ tenant, project, kind: "dead-letter", detail: [model, id, String(attempt)] });

const Token = Type.String({ pattern: TOKEN_PATTERN });
const Time = Type.String({ description: "RFC 3339, UTC, milliseconds" });
const Reason = Type.String({ minLength: 1, maxLength: 1000, description: "Why, in words for whoever audits it" });
const Sequence = Type.Integer({ minimum: 1, description: "Position of the dead letter in OUTCOMES" });

const Decided = {
  tenant: Token,
  project: Token,
  model: Token,
  id: Token,
  attempt: Type.Integer({ minimum: 1, description: "The attempt that died" }),
  dead_letter_sequence: Sequence,
  principal: Type.String({ description: "Opaque id of who decided" }),
  at: Time,
};

export const RedriveDecision = Type.Object(
  {
    ...Decided,
    decision: Type.Literal("redriven"),
    reason: Type.Optional(Reason),
    priority: Type.Enum([...PRIORITIES]),
    next_attempt: Type.Integer({ minimum: 2 }),
    after_sequence: Type.Integer({
      minimum: 0,
      description: "Position of the id's last request: what the new request is compare-and-set on",
    }),
    digest: Type.String({ description: "`sha256:<hex>` of the payload that runs" }),
    original_digest: Type.Optional(
      Type.String({ description: "Digest under which the id was first accepted, when another payload runs" }),
    ),
    rows: Type.Integer({ minimum: 1 }),
    model_version: Type.String({
      description: "The model that was deployed when it was decided: what the payload fits",
    }),
    model_digest: Type.String(),
    edited: Type.Boolean(),
    payload: Type.Optional(
      Type.Object(
        {
          base64: Type.String({
            description: "The edited payload; one that was not edited is in the original request",
          }),
          header_length: Type.Optional(Type.Integer({ minimum: 0 })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false, title: "RedriveDecision" },
);
export type RedriveDecision = Type.Static<typeof RedriveDecision>;

export const DiscardDecision = Type.Object(
  { ...Decided, decision: Type.Literal("discarded"), reason: Reason },
  { additionalProperties: false, title: "DiscardDecision" },
);
export type DiscardDecision = Type.Static<typeof DiscardDecision>;

export const DeadLetterDecision = Type.Union([RedriveDecision, DiscardDecision], { title: "DeadLetterDecision" });
export type DeadLetterDecision = RedriveDecision | DiscardDecision;

/** `open`: nobody has decided. `redriven`, `discarded`: somebody has. */
export const DEAD_LETTER_STATES = ["open", "redriven", "discarded"] as const;
export type DeadLetterState = (typeof DEAD_LETTER_STATES)[number];

export const DeadLetter = Type.Object(
  {
    sequence: Sequence,
    state: Type.Enum([...DEAD_LETTER_STATES]),
    outcome: DeadOutcome,
    decision: Type.Optional(DeadLetterDecision),
  },
  { additionalProperties: false, title: "DeadLetter" },
);
export type DeadLetter = Type.Static<typeof DeadLetter>;

/** Which dead letters; absent parts match any. */
export const DeadLetterFilter = Type.Object(
  {
    model: Type.Optional(Token),
    code: Type.Optional(Type.String({ minLength: 1, maxLength: 64, description: "The reason's code" })),
    from: Type.Optional(Type.String({ maxLength: 40, description: "RFC 3339; died at this time or later" })),
    to: Type.Optional(Type.String({ maxLength: 40, description: "RFC 3339; died before this time" })),
  },
  { additionalProperties: false, title: "DeadLetterFilter" },
);
export type DeadLetterFilter = Type.Static<typeof DeadLetterFilter>;

export const DEAD_LETTERS_LIMIT_MAX = 1_000;

export const DeadLetterPage = Type.Object(
  {
    dead_letters: Type.Array(DeadLetter),
    next: Type.Optional(Type.Integer({ description: "Ask with `after` = this for those that follow" })),
  },
  { additionalProperties: false, title: "DeadLetterPage" },
);
export type DeadLetterPage = Type.Static<typeof DeadLetterPage>;

const Order = {
  dry_run: Type.Optional(Type.Boolean({ default: false, description: "Say what would happen and change nothing" })),
};
const RedriveOrder = {
  ...Order,
  reason: Type.Optional(Reason),
  priority: Type.Optional(Type.Enum([...PRIORITIES], { description: "As before when absent" })),
};
const ExpectedSequence = Type.Optional(
  Type.Integer({
    minimum: 1,
    description:
      "Meant is the dead letter with this `sequence`: one that died later is refused, and the same order again, however late, is answered as the first time",
  }),
);

/** Body of a redrive of one dead letter. */
export const RedriveOne = Type.Object(
  {
    ...RedriveOrder,
    sequence: ExpectedSequence,
    payload: Type.Optional(
      Type.Unknown({ description: "Runs instead of the original: an Open Inference Protocol v2 request in JSON" }),
    ),
  },
  { additionalProperties: false, title: "RedriveOne" },
);
export type RedriveOne = Type.Static<typeof RedriveOne>;

export const DiscardOne = Type.Object(
  { ...Order, reason: Reason, sequence: ExpectedSequence },
  { additionalProperties: false, title: "DiscardOne" },
);
export type DiscardOne = Type.Static<typeof DiscardOne>;

const Many = {
  filter: Type.Optional(DeadLetterFilter),
  after: Type.Optional(Type.Integer({ minimum: 0, description: "Go on behind this sequence: the last `next`" })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: DEAD_LETTERS_LIMIT_MAX, default: 100 })),
};
/** Body of a redrive of the open dead letters that a filter matches, oldest first. */
export const RedriveMany = Type.Object(
  { ...RedriveOrder, ...Many },
  { additionalProperties: false, title: "RedriveMany" },
);
export type RedriveMany = Type.Static<typeof RedriveMany>;

export const DiscardMany = Type.Object(
  { ...Order, ...Many, reason: Reason },
  { additionalProperties: false, title: "DiscardMany" },
);
export type DiscardMany = Type.Static<typeof DiscardMany>;

/** What came of one dead letter. `repeated`: the same decision had been made before, and was completed. */
export const DecisionResult = Type.Object(
  {
    id: Token,
    model: Token,
    attempt: Type.Integer({ minimum: 1 }),
    dead_letter_sequence: Sequence,
    result: Type.Enum(["redriven", "discarded", "would-redrive", "would-discard", "refused"]),
    repeated: Type.Optional(Type.Boolean()),
    request_sequence: Type.Optional(Type.Integer({ minimum: 1, description: "Position of the new request" })),
    problem: Type.Optional(
      Type.Object({ code: Type.String(), detail: Type.String() }, { description: "Why it was refused" }),
    ),
  },
  { additionalProperties: false, title: "DecisionResult" },
);
export type DecisionResult = Type.Static<typeof DecisionResult>;

export const DecisionResults = Type.Object(
  {
    matched: Type.Integer({ minimum: 0 }),
    results: Type.Array(DecisionResult),
    more: Type.Boolean({ description: "There may be more that match" }),
    next: Type.Optional(Type.Integer({ description: "Ask with `after` = this for those that follow" })),
  },
  { additionalProperties: false, title: "DecisionResults" },
);
export type DecisionResults = Type.Static<typeof DecisionResults>;
