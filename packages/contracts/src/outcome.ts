import Type from "typebox";
import { Compile } from "typebox/compile";
import { canonicalBytes } from "./canonical.ts";
import { ERRORS, type ErrorCode, ok, problem, type Result } from "./errors.ts";
import { decodeTensors, type EncodedBody, encodeTensors, parseJsonPart, RequestParameters } from "./oip.ts";
import { TOKEN_PATTERN } from "./subjects.ts";
import { type Tensor, WireTensor } from "./tensor.ts";

/**
 * The outcome record: the one terminal statement about a request. Its bytes are canonical (RFC 8785, followed by raw
 * tensors where the client asked for binary output) from the moment it is written: those bytes are stored, hashed
 * into the ledger, and sent to Service Bus unchanged, so that everyone can check the same digest. See docs/adr.
 */

export const Token = Type.String({ pattern: TOKEN_PATTERN });
export const Digest = Type.String({ pattern: "^sha256:[0-9a-f]{64}$" });
const Time = Type.String({ description: "RFC 3339, UTC, milliseconds" });

const Asked = Type.Object(
  {
    digest: Digest,
    stream: Type.String(),
    sequence: Type.Integer({ minimum: 1, description: "Position in the request stream" }),
    subject: Type.String(),
    accepted_at: Time,
    principal: Type.Optional(Type.String({ description: "Opaque id of who asked" })),
    correlation_id: Type.String(),
    rows: Type.Optional(Type.Integer({ minimum: 1 })),
    deadline: Type.Optional(Time),
    parameters: Type.Optional(RequestParameters),
  },
  { additionalProperties: false, description: "What was asked: enough to find and check the request" },
);

/** An attempt that died and was redriven: links an outcome to those before it. */
export const PreviousAttempt = Type.Object(
  {
    attempt: Type.Integer({ minimum: 1 }),
    sequence: Type.Integer({ minimum: 1, description: "Position of its dead letter in OUTCOMES" }),
    code: Type.String({ description: "Why it died" }),
    completed_at: Time,
    digest: Type.Optional(Digest),
  },
  { additionalProperties: false, title: "PreviousAttempt" },
);
export type PreviousAttempt = Type.Static<typeof PreviousAttempt>;
/** Attempts an outcome names; of more, the last ones. */
export const PREVIOUS_MAX = 10;

const Common = {
  id: Token,
  attempt: Type.Integer({ minimum: 1 }),
  tenant: Token,
  project: Token,
  request: Asked,
  completed_at: Time,
  previous: Type.Optional(
    Type.Array(PreviousAttempt, { maxItems: PREVIOUS_MAX, description: "The attempts before this one, oldest first" }),
  ),
};

export const DoneOutcome = Type.Object(
  {
    ...Common,
    state: Type.Literal("done"),
    model: Type.Object({ name: Token, version: Type.String(), digest: Digest }, { additionalProperties: false }),
    runtime: Type.Object(
      { backend: Type.String({ description: "tensorflow-native, tensorflow-wasm" }), version: Type.String() },
      { additionalProperties: false },
    ),
    timing: Type.Object(
      {
        started_at: Time,
        compute_ms: Type.Number({ minimum: 0, description: "Of the run that this request shared" }),
        batch_rows: Type.Integer({ minimum: 1, description: "Rows of that run" }),
      },
      { additionalProperties: false },
    ),
    outputs: Type.Array(WireTensor),
  },
  { additionalProperties: false, title: "DoneOutcome" },
);

export const DeadOutcome = Type.Object(
  {
    ...Common,
    state: Type.Literal("dead"),
    model: Type.Object(
      { name: Token, version: Type.Optional(Type.String()), digest: Type.Optional(Digest) },
      { additionalProperties: false },
    ),
    reason: Type.Object(
      {
        code: Type.String({ description: "A permanent code; see the error catalogue" }),
        title: Type.String(),
        detail: Type.String({ maxLength: 2000, description: "What happened, and why" }),
        fix: Type.String({ description: "What to do" }),
        at: Type.Optional(Type.String({ description: "JSON pointer into the request" })),
      },
      { additionalProperties: false },
    ),
    deliveries: Type.Integer({ minimum: 1, description: "How often the request was delivered to a worker" }),
    payload: Type.Optional(
      Type.Object(
        {
          size_bytes: Type.Integer({ minimum: 0 }),
          content_type: Type.Optional(Type.String()),
          header_length: Type.Optional(Type.Integer({ minimum: 0, description: "Length of its JSON part" })),
        },
        {
          additionalProperties: false,
          description:
            "What died. `request.stream` and `request.sequence` are its claim check: retention keeps it there for as long as the dead letter is open",
        },
      ),
    ),
  },
  { additionalProperties: false, title: "DeadOutcome" },
);

export const Outcome = Type.Union([DoneOutcome, DeadOutcome], { title: "Outcome" });
export type DoneOutcome = Type.Static<typeof DoneOutcome>;
export type DeadOutcome = Type.Static<typeof DeadOutcome>;
export type Outcome = DoneOutcome | DeadOutcome;

const validator = Compile(Outcome);

/** A result before its tensors are encoded. */
export type DoneRecord = Omit<DoneOutcome, "outputs" | "state"> & { outputs: readonly Tensor[] };

/** The stored bytes of a result. */
export const encodeDone = (record: DoneRecord, form: "json" | "binary"): EncodedBody => {
  const { outputs, ...rest } = record;
  return encodeTensors({ ...rest, state: "done" }, "outputs", outputs, form);
};

/** The stored bytes of a dead letter. */
export const encodeDead = (record: DeadOutcome): EncodedBody => ({ bytes: canonicalBytes(record) });

/**
 * The reason of a dead letter, from the error catalogue and a sentence about this case. The sentence may quote what came,
 * or half a character of it (as V8 does of JSON that it cannot read), which has no canonical form: it is made whole.
 */
export const reasonOf = (code: ErrorCode, detail: string, at?: string): DeadOutcome["reason"] => ({
  code,
  title: ERRORS[code].title,
  detail: detail.slice(0, 2000).toWellFormed(),
  fix: ERRORS[code].fix,
  ...(at === undefined ? {} : { at: at.toWellFormed() }),
});

/** Reads stored bytes; binary outputs stay beside the record (see {@link outputsOf}). */
export function decodeOutcome(body: EncodedBody): Result<Outcome> {
  const json = parseJsonPart(body);
  if (!json.ok) return json;
  if (validator.Check(json.value)) return ok(json.value as Outcome);
  const first = validator.Errors(json.value)[0];
  return problem("malformed-message", `not an outcome: ${first?.message ?? "wrong form"}`, first?.instancePath || "/");
}

/** The output tensors of a result, from JSON or from the bytes behind it. */
export const outputsOf = (outcome: DoneOutcome, body: EncodedBody): Result<Tensor[]> =>
  decodeTensors(outcome.outputs, "/outputs", body);
