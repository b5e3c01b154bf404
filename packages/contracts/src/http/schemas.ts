import Type from "typebox";
import { ERRORS, type ErrorCode, type Problem } from "../errors.ts";
import { TensorSignature } from "../manifest.ts";
import { Outcome } from "../outcome.ts";
import { DURABILITIES } from "../streams.ts";
import { TOKEN_PATTERN } from "../subjects.ts";

/** Bodies that the HTTP API answers with. */

const Count = Type.Integer({ minimum: 0 });
const Line = Type.Integer({ minimum: 1, description: "From 1; the header of a CSV file is line 1" });

export const PackedRequest = Type.Object(
  { id: Type.String(), first_line: Line, last_line: Line, rows: Count },
  {
    title: "PackedRequest",
    description: "Row n of request id is `<id>#n`: the n-th good line from first_line, from 0",
  },
);
export type PackedRequest = Type.Static<typeof PackedRequest>;

export const LineError = Type.Object(
  { line: Line, code: Type.String(), detail: Type.String(), at: Type.Optional(Type.String()) },
  { title: "LineError" },
);
export type LineError = Type.Static<typeof LineError>;

const PROBLEM_MEDIA_TYPE = "application/problem+json";

export { PROBLEM_MEDIA_TYPE };

export const ProblemDocument = Type.Object(
  {
    type: Type.String({ description: "`urn:millrace:error:<code>`" }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String({ description: "What happened and why" }),
    instance: Type.String({ description: "Path of the request" }),
    code: Type.Enum(Object.keys(ERRORS) as ErrorCode[], { description: "Permanent" }),
    fix: Type.String({ description: "What to do" }),
    at: Type.Optional(Type.String({ description: "JSON pointer (RFC 6901) into the body, or `line N`" })),
    errors: Type.Optional(Type.Array(LineError)),
    trace_id: Type.Optional(Type.String({ description: "Names this request in logs and traces" })),
    location: Type.Optional(Type.String({ description: "Where the request's state can be asked for" })),
    digests: Type.Optional(
      Type.Object({ given: Type.String(), existing: Type.String() }, { description: "Of an idempotency conflict" }),
    ),
    error: Type.Optional(Type.String({ description: "The detail again, where Open Inference Protocol clients look" })),
    bulk: Type.Optional(
      Type.Object(
        {
          accepted: Type.Object({ rows: Count, requests: Count }),
          rejected: Type.Object({ rows: Count }),
          requests: Type.Array(PackedRequest, { description: "Accepted" }),
          unaccepted: Type.Array(PackedRequest, {
            description: "Not confirmed as stored. Send their lines again, with the same Idempotency-Key as before",
          }),
          next_line: Type.Optional({ ...Line, description: "From this line on, nothing was sent" }),
        },
        { description: "How far a bulk upload came" },
      ),
    ),
  },
  { title: "Problem", description: "RFC 9457 problem document" },
);
export type ProblemDocument = Type.Static<typeof ProblemDocument>;

/** The problem document of a problem. */
export function problemDocument(
  problem: Problem,
  of: { instance: string; trace_id?: string | undefined },
  more: Pick<ProblemDocument, "errors" | "location" | "digests" | "bulk" | "error"> = {},
): ProblemDocument {
  const { status, title, fix } = ERRORS[problem.code];
  return {
    type: `urn:millrace:error:${problem.code}`,
    title,
    status,
    detail: problem.detail,
    instance: of.instance,
    code: problem.code,
    fix,
    ...(problem.at === undefined ? {} : { at: problem.at }),
    ...(of.trace_id === undefined ? {} : { trace_id: of.trace_id }),
    ...more,
  };
}

const State = Type.Enum(["pending", "done", "dead"]);

const Links = Type.Object({
  self: Type.String({ description: "State and outcome" }),
  events: Type.String({ description: "Server-sent events" }),
});

export const Submission = Type.Object(
  {
    id: Type.String({ pattern: TOKEN_PATTERN }),
    state: State,
    durability: Type.Enum([...DURABILITIES], {
      description: "What the request has survived: written to disk, held by a majority, or in memory",
    }),
    digest: Type.String({ description: "`sha256:<hex>` of the request as it is stored" }),
    model: Type.Object({ name: Type.String(), version: Type.String() }),
    repeated: Type.Boolean({ description: "The idempotency key named this job before" }),
    links: Links,
  },
  { title: "Submission" },
);
export type Submission = Type.Static<typeof Submission>;

export const RequestState = Type.Object(
  {
    id: Type.String({ pattern: TOKEN_PATTERN }),
    state: State,
    outcome: Type.Union([Outcome, Type.Null()], { description: "Null while pending" }),
  },
  { title: "RequestState" },
);
export type RequestState = Type.Static<typeof RequestState>;

export const BulkSummary = Type.Object(
  {
    accepted: Type.Object({ rows: Count, requests: Count }),
    rejected: Type.Object({ rows: Count }),
    requests: Type.Array(PackedRequest),
    errors: Type.Array(LineError, { description: "The first ones; `rejected.rows` counts all" }),
    durability: Type.Enum([...DURABILITIES]),
    model: Type.Object({ name: Type.String(), version: Type.String() }),
    links: Type.Object({ request: Type.String({ description: "Put an id in place of {id}" }) }),
  },
  { title: "BulkSummary" },
);
export type BulkSummary = Type.Static<typeof BulkSummary>;

export const ModelSummary = Type.Object(
  {
    name: Type.String(),
    version: Type.String(),
    description: Type.String(),
    digest: Type.String(),
    inputs: Type.Array(TensorSignature),
    outputs: Type.Array(TensorSignature),
  },
  { title: "ModelSummary" },
);
export type ModelSummary = Type.Static<typeof ModelSummary>;

export const ModelList = Type.Object({ models: Type.Array(ModelSummary) }, { title: "ModelList" });
export type ModelList = Type.Static<typeof ModelList>;

const OipSignature = Type.Object(
  { name: Type.String(), datatype: Type.String(), shape: Type.Array(Type.Integer()) },
  { title: "OipSignature" },
);

export const ServerMetadata = Type.Object(
  { name: Type.String(), version: Type.String(), extensions: Type.Array(Type.String()) },
  { title: "ServerMetadata", description: "Open Inference Protocol v2" },
);
export type ServerMetadata = Type.Static<typeof ServerMetadata>;

export const ModelMetadata = Type.Object(
  {
    name: Type.String(),
    versions: Type.Array(Type.String()),
    platform: Type.String(),
    inputs: Type.Array(OipSignature),
    outputs: Type.Array(OipSignature),
  },
  { title: "ModelMetadata", description: "Open Inference Protocol v2" },
);
export type ModelMetadata = Type.Static<typeof ModelMetadata>;

export const Live = Type.Object({ live: Type.Boolean() }, { title: "Live" });
export const Ready = Type.Object({ ready: Type.Boolean() }, { title: "Ready" });
export const ModelReady = Type.Object({ name: Type.String(), ready: Type.Boolean() }, { title: "ModelReady" });
