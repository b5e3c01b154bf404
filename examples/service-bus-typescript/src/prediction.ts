import { createHash } from "node:crypto";
import type { ServiceBusReceivedMessage } from "@azure/service-bus";

/** What this system keeps of a message. */
export type Prediction = {
  messageId: string;
  correlationId: string | undefined;
  tenant: string;
  model: string;
  state: string;
  /** Position of the request: restores the order of input where the order of arrival is not enough. */
  requestSequence: number;
  /** `leaf_hash` of the ledger's entry, of a body that is the whole outcome. */
  leafHash: string;
  /** The JSON of the body. */
  body: string;
};

/** A message that no repetition makes readable: somebody has to look at it. */
export type Poison = { reason: string; description: string };

/** The types that this program understands. A new version of a body is a new type, so an old reader never misreads it. */
const TYPES = new Set([
  "millrace.inference.completed.v1",
  "millrace.inference.dead-lettered.v1",
  "millrace.inference.row-completed.v1",
]);

/** Reads a message; what cannot be read is told as a value, with the reason that goes to the dead-letter queue. */
export function readPrediction(message: ServiceBusReceivedMessage): { ok: Prediction } | { poison: Poison } {
  const { messageId, correlationId, applicationProperties: properties = {}, body } = message;
  const type = properties["cloudEvents:type"];
  if (typeof type !== "string" || !TYPES.has(type))
    return poison("unknown-type", `cloudEvents:type is ${String(type)}`);
  if (typeof messageId !== "string" || !Buffer.isBuffer(body))
    return poison("unreadable", "no message id, or no bytes");
  // Of binary outputs the JSON comes first, and this property has its length.
  const header = Number(properties["inference-header-content-length"] ?? body.length);
  const text = body.toString("utf8", 0, header);
  try {
    JSON.parse(text);
  } catch (cause) {
    return poison("unreadable", (cause as Error).message);
  }
  return {
    ok: {
      messageId,
      correlationId: correlationId === undefined ? undefined : String(correlationId),
      tenant: String(properties.tenant),
      model: String(properties.model),
      state: String(properties.state),
      requestSequence: Number(properties.requestSequence),
      leafHash: createHash("sha256").update(Buffer.of(0)).update(body).digest("hex"),
      body: text,
    },
  };
}

const poison = (reason: string, description: string) => ({ poison: { reason, description } });
