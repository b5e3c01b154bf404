import { decodeTensors, type EncodedBody, type InferRequest, parseJsonPart, toWire } from "@millrace/contracts";
import { EXIT, Failure } from "./failure.ts";

/**
 * A stored request as JSON that a person can edit: binary tensors become numbers.
 * @throws Failure when it is no request, so that there is nothing to edit
 */
export function jsonPayload(body: EncodedBody): string {
  const part = parseJsonPart(body);
  if (!part.ok) throw unreadable(part.problem.detail);
  const request = part.value as InferRequest | null;
  if (!Array.isArray(request?.inputs)) throw unreadable("it has no inputs");
  const inputs = decodeTensors(request.inputs, "/inputs", body);
  if (!inputs.ok) throw unreadable(inputs.problem.detail);
  return `${JSON.stringify({ ...request, inputs: inputs.value.map((tensor) => toWire(tensor, "json")) }, null, 2)}\n`;
}

const unreadable = (why: string): Failure =>
  new Failure(EXIT.refused, {
    what: "The payload is not a request that can be shown as JSON",
    why,
    fix: "Without --as-json it is written as it is.",
  });
