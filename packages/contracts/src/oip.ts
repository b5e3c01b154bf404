import Type from "typebox";
import { Compile } from "typebox/compile";
import { canonicalBytes } from "./canonical.ts";
import { ok, type Problem, problem, type Result } from "./errors.ts";
import type { TensorSignature } from "./manifest.ts";
import {
  ARRAY_OF,
  DATATYPES,
  type Datatype,
  elementCount,
  type Tensor,
  type TensorData,
  WireTensor,
} from "./tensor.ts";

/**
 * The Open Inference Protocol v2 body: one JSON document, or (binary tensor data extension) a JSON document followed
 * by the raw little-endian bytes of the tensors that name a `binary_data_size`, the length of the JSON being given
 * beside the body. The same codec serves HTTP, the request streams and the outcome stream.
 * https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 */

/** Header that gives the length in bytes of the JSON part; present exactly when binary tensors follow it. */
export const HEADER_LENGTH = "inference-header-content-length";

const Parameters = Type.Record(Type.String(), Type.Unknown());

export const InferRequest = Type.Object(
  {
    id: Type.Optional(Type.String({ maxLength: 256, description: "The client's own name for the request; echoed" })),
    parameters: Type.Optional(Parameters),
    inputs: Type.Array(WireTensor, { minItems: 1, maxItems: 32 }),
    outputs: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), parameters: Type.Optional(Parameters) }), { maxItems: 32 }),
    ),
  },
  { title: "InferRequest", description: "Open Inference Protocol v2 inference request" },
);
export type InferRequest = Type.Static<typeof InferRequest>;

export const InferResponse = Type.Object(
  {
    model_name: Type.String(),
    model_version: Type.Optional(Type.String()),
    id: Type.Optional(Type.String()),
    parameters: Type.Optional(Parameters),
    outputs: Type.Array(WireTensor),
  },
  { title: "InferResponse", description: "Open Inference Protocol v2 inference response" },
);
export type InferResponse = Type.Static<typeof InferResponse>;

/** Longest name and longest text of a parameter that follows. */
const PARAMETER_MAX = 256;
/** A request's own parameters, as far as they follow it into its outcome: what a route may name. */
export const RequestParameters = Type.Record(
  Type.String(),
  Type.Union([Type.String({ maxLength: PARAMETER_MAX }), Type.Number(), Type.Boolean()]),
  { maxProperties: 16, description: "Strings, numbers and booleans of the request's `parameters`" },
);
export type RequestParameters = Type.Static<typeof RequestParameters>;

/** A body and, when it is binary, the length of its JSON part. */
export type EncodedBody = { bytes: Uint8Array; headerLength?: number };

/** What a request asks, decoded and checked against the model's signature: inputs in the signature's order. */
export type DecodedRequest = {
  inputs: Tensor[];
  /** Every output as raw bytes instead of JSON numbers (`binary_data_output`, or `binary_data` on each output). */
  binaryOutput: boolean;
  clientId?: string;
  /** Absent when it has none. */
  parameters?: RequestParameters;
  /** The outputs an OIP client asked for, in its order; absent = all. They are not stored: an outcome holds every output. */
  outputs?: readonly { name: string; binary: boolean }[];
};

const requestValidator = Compile(InferRequest);
const parametersValidator = Compile(RequestParameters);

/**
 * Decodes and validates a request body. A value that is not a finite number in its datatype's range is refused:
 * a model would turn it into a number that looks like a result.
 */
export function decodeRequest(body: EncodedBody, signature: readonly TensorSignature[]): Result<DecodedRequest> {
  const json = parseJsonPart(body);
  if (!json.ok) return json;
  if (!requestValidator.Check(json.value)) {
    const first = requestValidator.Errors(json.value)[0];
    return problem(
      "malformed-body",
      `the request ${first?.message ?? "has the wrong form"}`,
      first?.instancePath || "/",
    );
  }
  const request = json.value;
  // Escapes can spell half a character, which has no canonical form: it could be neither stored nor answered.
  if (request.id !== undefined && !request.id.isWellFormed())
    return problem("malformed-body", "the id is not well-formed Unicode", "/id");
  const parameters = parametersOf(request.parameters);
  if (!parameters.ok) return parameters;
  const tensors = decodeTensors(request.inputs, "/inputs", body);
  if (!tensors.ok) return tensors;
  const inputs = matchSignature(tensors.value, signature);
  if (!inputs.ok) return inputs;
  const wanted = request.outputs ?? [];
  const binaryAll = request.parameters?.binary_data_output === true;
  const binaryOutput =
    binaryAll || (wanted.length > 0 && wanted.every((output) => output.parameters?.binary_data === true));
  const outputs = wanted.map(({ name, parameters }) => ({
    name,
    binary: binaryAll ? parameters?.binary_data !== false : parameters?.binary_data === true,
  }));
  return ok({
    inputs: inputs.value,
    binaryOutput,
    ...(request.id === undefined ? {} : { clientId: request.id }),
    ...(parameters.value === undefined ? {} : { parameters: parameters.value }),
    ...(outputs.length > 0 ? { outputs } : {}),
  });
}

/**
 * What follows a request into its outcome. Values that are no string, number or boolean do not: the protocol has none.
 * What asks how the answer is encoded does not, either.
 */
function parametersOf(given: Readonly<Record<string, unknown>> | undefined): Result<RequestParameters | undefined> {
  if (given === undefined) return ok(undefined);
  const kept = Object.entries(given).filter(
    ([name, value]) => name !== "binary_data_output" && ["string", "number", "boolean"].includes(typeof value),
  );
  if (kept.length === 0) return ok(undefined);
  const parameters = Object.fromEntries(kept) as RequestParameters;
  const texts = kept.flat().filter((text) => typeof text === "string");
  if (
    parametersValidator.Check(parameters) &&
    texts.every((text) => text.length <= PARAMETER_MAX && text.isWellFormed())
  )
    return ok(parameters);
  return problem(
    "malformed-body",
    "parameters are at most 16, with names and texts of at most 256 characters, in well-formed Unicode",
    "/parameters",
  );
}

/** The same of a body that may be no request; undefined when there are none, or none that can be read. */
export function parametersIn(body: EncodedBody): RequestParameters | undefined {
  const json = parseJsonPart(body);
  const given = json.ok ? (json.value as { parameters?: unknown } | null)?.parameters : undefined;
  if (typeof given !== "object" || given === null) return undefined;
  const parameters = parametersOf(given as Record<string, unknown>);
  return parameters.ok ? parameters.value : undefined;
}

/**
 * Encodes a document whose field `field` holds tensors. JSON is canonical (RFC 8785), so that equal content has equal
 * bytes and one digest, whatever the client's white space was.
 */
export function encodeTensors(
  document: Readonly<Record<string, unknown>>,
  field: "inputs" | "outputs",
  tensors: readonly Tensor[],
  form: "json" | "binary",
): EncodedBody {
  const wire = tensors.map((tensor) => toWire(tensor, form));
  const json = canonicalBytes({ ...document, [field]: wire });
  if (form === "json") return { bytes: json };
  const raw = tensors.map((tensor) => bytesOf(tensor.data));
  return { bytes: Buffer.concat([json, ...raw]), headerLength: json.byteLength };
}

/** Encodes a request as it is stored in a request stream. */
export const encodeRequest = (request: DecodedRequest, form: "json" | "binary"): EncodedBody =>
  encodeTensors(
    {
      ...(request.clientId === undefined ? {} : { id: request.clientId }),
      ...(request.binaryOutput || request.parameters
        ? { parameters: { ...request.parameters, ...(request.binaryOutput ? { binary_data_output: true } : {}) } }
        : {}),
    },
    "inputs",
    request.inputs,
    form,
  );

/** A tensor as it stands in a JSON body; with `binary` its bytes follow the JSON. */
export const toWire = (tensor: Tensor, form: "json" | "binary"): WireTensor => ({
  // In canonical order, which is then not made for each.
  ...(form === "json" ? { data: jsonData(tensor) } : {}),
  datatype: tensor.datatype,
  name: tensor.name,
  ...(form === "binary" ? { parameters: { binary_data_size: tensor.data.byteLength } } : {}),
  shape: [...tensor.shape],
});

/** The JSON part of a body. */
export function parseJsonPart(body: EncodedBody): Result<unknown> {
  const length = body.headerLength ?? body.bytes.byteLength;
  if (!Number.isInteger(length) || length < 0 || length > body.bytes.byteLength)
    return problem("malformed-body", `${HEADER_LENGTH} is ${length}, but the body has ${body.bytes.byteLength} bytes`);
  try {
    return ok(JSON.parse(utf8.decode(body.bytes.subarray(0, length))));
  } catch (cause) {
    return problem("malformed-json", `the JSON part cannot be read: ${(cause as Error).message}`);
  }
}

/** Decodes wire tensors of a body whose JSON part was parsed; `at` is where they stand in it. */
export function decodeTensors(wire: readonly WireTensor[], at: string, body: EncodedBody): Result<Tensor[]> {
  let offset = body.headerLength ?? body.bytes.byteLength;
  const tensors: Tensor[] = [];
  for (const [index, tensor] of wire.entries()) {
    const size = tensor.parameters?.binary_data_size;
    const decoded =
      size === undefined
        ? fromJson(tensor, `${at}/${index}`)
        : fromBytes(tensor, `${at}/${index}`, body.bytes.subarray(offset, offset + Number(size)), size);
    if (!decoded.ok) return decoded;
    if (size !== undefined) offset += Number(size);
    tensors.push(decoded.value);
  }
  if (offset !== body.bytes.byteLength)
    return problem("malformed-body", `${body.bytes.byteLength - offset} bytes follow the last binary tensor`);
  return ok(tensors);
}

/** The tensors in the signature's order, or what does not fit. All inputs must have the same number of rows. */
export function matchSignature(tensors: readonly Tensor[], signature: readonly TensorSignature[]): Result<Tensor[]> {
  const byName = new Map<string, Tensor>();
  for (const [index, tensor] of tensors.entries()) {
    const at = `/inputs/${index}`;
    const expected = signature.find((input) => input.name === tensor.name);
    if (!expected)
      return problem("unknown-input", `"${tensor.name}" is not an input; they are ${names(signature)}`, `${at}/name`);
    if (byName.has(tensor.name))
      return problem("malformed-body", `input "${tensor.name}" is given twice`, `${at}/name`);
    if (tensor.datatype !== expected.datatype)
      return problem(
        "wrong-datatype",
        `"${tensor.name}" is ${tensor.datatype}, not ${expected.datatype}`,
        `${at}/datatype`,
      );
    if (!fits(tensor.shape, expected.shape))
      return problem("wrong-shape", `"${tensor.name}" is [${tensor.shape}], not [${expected.shape}]`, `${at}/shape`);
    byName.set(tensor.name, tensor);
  }
  const missing = signature.filter((input) => !byName.has(input.name));
  if (missing.length > 0) return problem("missing-input", `${names(missing)} missing`, "/inputs");
  const matched = signature.map((input) => byName.get(input.name)!);
  const rows = matched[0]?.shape[0];
  if (!rows) return problem("wrong-shape", "a request needs at least one row", "/inputs/0/shape");
  const uneven = matched.find((tensor) => tensor.shape[0] !== rows);
  if (uneven)
    return problem(
      "wrong-shape",
      `"${uneven.name}" has ${uneven.shape[0]} rows, the first input has ${rows}`,
      "/inputs",
    );
  return ok(matched);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
const names = (signature: readonly TensorSignature[]) => signature.map((input) => `"${input.name}"`).join(", ");

const fits = (shape: readonly number[], expected: readonly number[]) =>
  shape.length === expected.length && expected.every((size, axis) => size === -1 || size === shape[axis]);

const isDatatype = (name: string): name is Datatype => (DATATYPES as readonly string[]).includes(name);

/** Elements one tensor may declare: bounds the allocation that a small body with a large shape could ask for. */
const ELEMENTS_MAX = 16 * 1024 * 1024;

function declared(tensor: WireTensor, at: string): Result<{ datatype: Datatype; count: number }> {
  if (!isDatatype(tensor.datatype))
    return problem("wrong-datatype", `"${tensor.datatype}" is not one of ${DATATYPES.join(", ")}`, `${at}/datatype`);
  const count = elementCount(tensor.shape);
  if (count > ELEMENTS_MAX) return problem("wrong-shape", `[${tensor.shape}] has ${count} elements`, `${at}/shape`);
  return ok({ datatype: tensor.datatype, count });
}

function fromJson(tensor: WireTensor, at: string): Result<Tensor> {
  const form = declared(tensor, at);
  if (!form.ok) return form;
  const { datatype, count } = form.value;
  if (tensor.data === undefined)
    return problem("malformed-body", `"${tensor.name}" has neither data nor parameters.binary_data_size`, at);
  const data = new ARRAY_OF[datatype](count);
  const filled = fill(data, 0, tensor.data, { datatype, at: `${at}/data`, depth: 0 });
  if (typeof filled !== "number") return { ok: false, problem: filled };
  if (filled !== count)
    return problem("wrong-shape", `[${tensor.shape}] needs ${count} values, data has ${filled}`, `${at}/data`);
  return ok({ name: tensor.name, datatype, shape: tensor.shape, data });
}

function fromBytes(tensor: WireTensor, at: string, bytes: Uint8Array, size: unknown): Result<Tensor> {
  const form = declared(tensor, at);
  if (!form.ok) return form;
  const { datatype, count } = form.value;
  const expected = count * ARRAY_OF[datatype].BYTES_PER_ELEMENT;
  if (size !== expected)
    return problem(
      "wrong-shape",
      `${datatype} [${tensor.shape}] is ${expected} bytes, binary_data_size is ${size}`,
      at,
    );
  if (bytes.byteLength !== expected)
    return problem("malformed-body", `the body ends ${expected - bytes.byteLength} bytes too early`, at);
  // A copy of exactly these bytes: typed arrays need alignment, and the slice must not keep a large body alive.
  // Not slice(), which on a Buffer shares the memory.
  const data = new ARRAY_OF[datatype](new Uint8Array(bytes).buffer);
  for (let i = 0; i < data.length; i++) {
    const wrong = misfit(data[i]!, datatype);
    if (wrong) return problem("wrong-value", `value ${i} of "${tensor.name}" ${wrong}`, at);
  }
  return ok({ name: tensor.name, datatype, shape: tensor.shape, data });
}

const DEPTH_MAX = 8;

/** Writes flat or nested JSON data into `into` from `offset`; the new offset, or what is wrong. Never writes past it. */
function fill(
  into: TensorData,
  offset: number,
  values: readonly unknown[],
  where: { datatype: Datatype; at: string; depth: number },
): number | Problem {
  let next = offset;
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (Array.isArray(value)) {
      if (where.depth === DEPTH_MAX)
        return { code: "wrong-shape", detail: "data is nested deeper than a tensor can be", at: where.at };
      const filled = fill(into, next, value, { ...where, at: `${where.at}/${index}`, depth: where.depth + 1 });
      if (typeof filled !== "number") return filled;
      next = filled;
      continue;
    }
    const number = where.datatype === "BOOL" && typeof value === "boolean" ? Number(value) : value;
    const wrong = typeof number === "number" ? misfit(number, where.datatype) : `is ${kindOf(value)}, not a number`;
    if (wrong) return { code: "wrong-value", detail: `a value ${wrong}`, at: `${where.at}/${index}` };
    if (next < into.length) into[next] = number as number;
    next++;
  }
  return next;
}

const kindOf = (value: unknown) =>
  value === null ? "null" : typeof value === "object" ? "an object" : `a ${typeof value}`;

/** Why a number does not fit a datatype, or undefined when it does. */
export function misfit(value: number, datatype: Datatype): string | undefined {
  if (datatype === "FP32")
    return Number.isFinite(Math.fround(value)) ? undefined : `(${value}) is not a finite FP32 number`;
  if (datatype === "FP64") return Number.isFinite(value) ? undefined : `(${value}) is not a finite FP64 number`;
  const max = { BOOL: 1, UINT8: 255, INT32: 2147483647 }[datatype];
  const min = datatype === "INT32" ? -2147483648 : 0;
  return Number.isInteger(value) && value >= min && value <= max
    ? undefined
    : `(${value}) is not a whole number from ${min} to ${max}`;
}

const bytesOf = (data: TensorData) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const jsonData = (tensor: Tensor): unknown[] =>
  tensor.datatype === "BOOL" ? Array.from(tensor.data, (value) => value !== 0) : Array.from(tensor.data);
