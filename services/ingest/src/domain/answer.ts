import {
  canonicalBytes,
  type DecodedRequest,
  type DoneOutcome,
  type EncodedBody,
  type InferResponse,
  type Outcome,
  outputsOf,
  type RequestState,
  type Tensor,
  toWire,
  type WireTensor,
} from "@millrace/contracts";
import type { StoredOutcome } from "./ports.ts";

/** How stored outcomes are shown to a client. */

/** The record with its outputs as JSON numbers, whatever form they are stored in. */
export function jsonOutcome(stored: StoredOutcome): Outcome {
  const { record, body } = stored;
  if (record.state === "dead" || body.headerLength === undefined) return record;
  return { ...record, outputs: tensorsOf(record, body).map((tensor) => toWire(tensor, "json")) };
}

/** State and outcome as JSON. */
export const jsonState = (stored: StoredOutcome): RequestState => ({
  id: stored.address.id,
  state: stored.address.state,
  outcome: jsonOutcome(stored),
});

/** State and outcome with the outputs as bytes behind the JSON. A dead letter has none, and stays JSON. */
export function binaryState(stored: StoredOutcome): EncodedBody {
  const { record, body, address } = stored;
  if (record.state === "dead") return { bytes: canonicalBytes(jsonState(stored)) };
  const tensors = tensorsOf(record, body);
  const outputs = tensors.map((tensor) => toWire(tensor, "binary"));
  return withBytes({ id: address.id, state: address.state, outcome: { ...record, outputs } }, tensors);
}

/** An OIP answer: the outputs asked for, in the order and form asked for. */
export function inferResponse(stored: StoredOutcome, asked: DecodedRequest): EncodedBody {
  const record = stored.record as DoneOutcome;
  const tensors = new Map(tensorsOf(record, stored.body).map((tensor) => [tensor.name, tensor]));
  const wanted = asked.outputs ?? [...tensors.keys()].map((name) => ({ name, binary: asked.binaryOutput }));
  const raw: Tensor[] = [];
  const outputs: WireTensor[] = [];
  for (const { name, binary } of wanted) {
    const tensor = tensors.get(name);
    if (!tensor) continue; // it was checked against the manifest; an older version of the model may lack it
    outputs.push(toWire(tensor, binary ? "binary" : "json"));
    if (binary) raw.push(tensor);
  }
  const response: InferResponse = {
    model_name: record.model.name,
    model_version: record.model.version,
    id: asked.clientId ?? record.id,
    parameters: { millrace_request_id: record.id },
    outputs,
  };
  return raw.length === 0 ? { bytes: Buffer.from(JSON.stringify(response)) } : withBytes(response, raw);
}

function withBytes(document: unknown, tensors: readonly Tensor[]): EncodedBody {
  const json = Buffer.from(JSON.stringify(document));
  const raw = tensors.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { bytes: Buffer.concat([json, ...raw]), headerLength: json.byteLength };
}

function tensorsOf(record: DoneOutcome, body: EncodedBody): Tensor[] {
  const tensors = outputsOf(record, body);
  // It was validated when it was written; if it cannot be read now, the stream's bytes are broken.
  if (!tensors.ok) throw new Error(`outcome ${record.id}: ${tensors.problem.detail}`);
  return tensors.value;
}
