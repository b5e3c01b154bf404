import {
  type DecodedRequest,
  decodeRequest,
  type EncodedBody,
  encodeRequest,
  freshRequestId,
  LIMITS,
  type ModelDeployment,
  type Priority,
  problem,
  REQUEST_ROWS_MAX,
  type Result,
  requestIdFor,
  rowCount,
} from "@millrace/contracts";
import type { Project } from "./grants.ts";
import type { Submitted } from "./ports.ts";

/** What every request of one call shares. */
export type Origin = Project & {
  model: ModelDeployment;
  priority: Priority;
  key?: string;
  correlationId?: string;
  /** RFC 3339. */
  deadline?: string;
  /** Where the answer goes, of a request that came from Service Bus. */
  replyTo?: string;
  principal: string;
  traceparent: string;
};

/** A request that may be stored, and what its asker wants of the answer. */
export type Submission = { request: Submitted; asked: DecodedRequest };

/**
 * Values up to which a JSON request is stored as canonical JSON, which people can read on the stream. Larger ones are
 * stored as binary tensors: printing a float and parsing it again costs more than everything else that happens to it.
 */
const JSON_VALUES_MAX = 64;

/** A body that fits a model, in the form in which it is stored, and what its asker wants of the answer. */
export type FittingBody = { stored: EncodedBody; rows: number; asked: DecodedRequest };

/** Checks a body against the model's signature. Nothing is stored that a worker would have to refuse. */
export function prepareSubmission(body: EncodedBody, origin: Origin): Result<Submission> {
  const fitting = fitToModel(body, origin.model);
  if (!fitting.ok) return fitting;
  const { stored, rows, asked } = fitting.value;
  return { ok: true, value: { request: newRequest(origin, stored, rows), asked } };
}

/**
 * Checks a body against a model's signature and gives it the form in which it is stored: canonical JSON, or binary when
 * it came so or is large.
 */
export function fitToModel(body: EncodedBody, model: ModelDeployment): Result<FittingBody> {
  const decoded = decodeRequest(body, model.manifest.inputs);
  if (!decoded.ok) return decoded;
  const asked = decoded.value;
  const wrong = unknownOutput(asked, model);
  if (wrong) return wrong;
  const rows = rowCount(asked.inputs);
  if (rows > REQUEST_ROWS_MAX)
    return problem("too-many-rows", `the request has ${rows} rows, more than ${REQUEST_ROWS_MAX}`, "/inputs/0/shape");
  const values = asked.inputs.reduce((sum, { data }) => sum + data.length, 0);
  const readable = body.headerLength === undefined && values <= JSON_VALUES_MAX;
  const stored = encodeRequest(asked, readable ? "json" : "binary");
  if (stored.bytes.byteLength > LIMITS.stored_bytes)
    return problem(
      "body-too-large",
      `the request is ${stored.bytes.byteLength} bytes as binary tensors, more than ${LIMITS.stored_bytes}`,
    );
  return { ok: true, value: { stored, rows, asked } };
}

/** A request of this origin around an encoded body. `part` numbers the requests of one bulk upload. */
export function newRequest(origin: Origin, body: EncodedBody, rows: number, part?: number): Submitted {
  const { tenant, project, priority, principal, traceparent } = origin;
  const { manifest, digest } = origin.model;
  const of = { tenant, project, model: manifest.name };
  const id = origin.key === undefined ? freshRequestId() : requestIdFor({ ...of, key: partKey(origin.key, part) });
  return {
    ...of,
    id,
    priority,
    body,
    rows,
    modelVersion: manifest.version,
    modelDigest: digest,
    correlationId: origin.correlationId ?? id,
    principal,
    traceparent,
    keyed: origin.key !== undefined,
    ...(origin.deadline === undefined ? {} : { deadline: origin.deadline }),
    ...(origin.replyTo === undefined ? {} : { replyTo: origin.replyTo }),
  };
}

/** A header cannot carry a line feed, so no key of a client equals the key of a part. */
const partKey = (key: string, part: number | undefined) => (part === undefined ? key : `${key}\n${part}`);

function unknownOutput(asked: DecodedRequest, { manifest }: ModelDeployment) {
  for (const [index, output] of (asked.outputs ?? []).entries())
    if (!manifest.outputs.some(({ name }) => name === output.name))
      return problem(
        "unknown-output",
        `"${output.name}" is not an output of ${manifest.name}`,
        `/outputs/${index}/name`,
      );
  return undefined;
}
