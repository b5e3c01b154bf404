import type { OutgoingMessage } from "@millrace/azure";
import type { StoredOutcome } from "@millrace/bus";
import {
  canonicalBytes,
  digestOf,
  effectId,
  HEADER_LENGTH,
  InferenceCompleted,
  InferenceDeadLettered,
  matchingRows,
  ok,
  outcomeId,
  outputsOf,
  type Result,
  ROW_COMPLETED_TYPE,
  type Route,
  type RouteMessage,
  type RowResult,
  rowId,
  type Tensor,
  toAmqpProperties,
  toWire,
} from "@millrace/contracts";
import { fitting } from "./fitting.ts";
import { type Fill, type Subject, template } from "./template.ts";

/** Makes the messages of an outcome; none when the route's condition is not met. */
export type ToMessages = (outcome: StoredOutcome) => Result<OutgoingMessage[]>;

/**
 * How a route turns outcomes into Service Bus messages. The body of a whole outcome is the canonical bytes as stored, so
 * that the consumer can check the digest that the ledger has. `messageId` is the effect's id, with the row behind it
 * where there is one: a topic with duplicate detection takes a repeat once. Context attributes follow the CloudEvents
 * AMQP binding; the plain properties are there for subscription filters.
 */
export function messagesOf({ name, when, message = {} }: Route): ToMessages {
  const mapped = mapping(message);
  const perRow = message.per === "row";
  return (outcome) => {
    const { record, body } = outcome;
    if (record.state !== "done") return ok(when ? [] : [mapped(whole(outcome, name), { outcome, outputs: () => [] })]);
    if (!when && !perRow) {
      const outputs = once(() => orNone(outputsOf(record, body)));
      return ok([mapped(whole(outcome, name), { outcome, outputs })]);
    }
    const decoded = outputsOf(record, body);
    if (!decoded.ok) return decoded;
    const outputs = () => decoded.value;
    const rows = when ? Array.from(matchingRows(when, decoded.value), ({ row }) => row) : rowsOf(decoded.value);
    if (!perRow) return ok(rows.length > 0 ? [mapped(whole(outcome, name), { outcome, outputs })] : []);
    const digest = digestOf(body.bytes);
    return ok(
      rows.map((row) =>
        mapped(ofRow(outcome, name, { row, outputs: decoded.value, digest }), { outcome, outputs, row }),
      ),
    );
  };
}

/** What a route says of its messages, put over what they are without it. */
function mapping({ subject, session_id, partition_key, properties = {}, ttl_s }: RouteMessage) {
  const fill = (text: string | undefined): Fill => (text === undefined ? () => undefined : template(text));
  const [subjectOf, sessionOf, partitionOf] = [fill(subject), fill(session_id), fill(partition_key)];
  const own = Object.entries(properties).map(([name, text]) => [name, template(text)] as const);
  return (message: OutgoingMessage, of: Subject): OutgoingMessage => {
    const subject = subjectOf(of);
    if (subject !== undefined) message.subject = String(subject);
    const session = sessionOf(of);
    const partition = partitionOf(of);
    if (session !== undefined) message.sessionId = fitting(String(session));
    // Service Bus wants both equal, or one of them absent.
    else if (partition !== undefined) message.partitionKey = fitting(String(partition));
    if (ttl_s !== undefined) message.timeToLive = ttl_s * 1_000;
    for (const [name, filled] of own) {
      const value = filled(of);
      if (value !== undefined) message.applicationProperties![name] = value;
    }
    return message;
  };
}

/** A whole outcome as a message; `destination` names the effect, a route's name or a reply. */
export function whole(outcome: StoredOutcome, route: string): OutgoingMessage {
  const { record, envelope, body } = outcome;
  const completed = record.state === "done" ? InferenceCompleted : InferenceDeadLettered;
  const properties: OutgoingMessage["applicationProperties"] = toAmqpProperties(envelope);
  if (body.headerLength !== undefined) properties[HEADER_LENGTH] = body.headerLength;
  return {
    messageId: fitting(effectId(outcomeId(record.id, record.attempt), route)),
    correlationId: envelope.correlationid,
    subject: completed.name,
    contentType: envelope.datacontenttype,
    body: Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.byteLength),
    applicationProperties: Object.assign(properties, facts(outcome)),
  };
}

type Row = { row: number; outputs: readonly Tensor[]; digest: string };

function ofRow(outcome: StoredOutcome, route: string, { row, outputs, digest }: Row): OutgoingMessage {
  const { record, envelope } = outcome;
  if (record.state !== "done") throw new Error("a dead letter has no rows");
  const outcome_id = outcomeId(record.id, record.attempt);
  const { parameters } = record.request;
  const result: RowResult = {
    id: rowId(record.id, row),
    row,
    tenant: record.tenant,
    project: record.project,
    model: record.model,
    outcome: { id: outcome_id, digest },
    ...(parameters === undefined ? {} : { parameters }),
    outputs: outputs.map((tensor) => toWire(rowOf(tensor, row), "json")),
  };
  return {
    messageId: fitting(rowId(effectId(outcome_id, route), row)),
    correlationId: envelope.correlationid,
    subject: InferenceCompleted.name,
    contentType: "application/json",
    body: Buffer.from(canonicalBytes(result)),
    applicationProperties: {
      ...toAmqpProperties({ ...envelope, id: rowId(outcome_id, row), type: ROW_COMPLETED_TYPE }),
      ...facts(outcome),
      row,
    },
  };
}

/** What subscription filters ask for. */
const facts = ({ record }: StoredOutcome) => ({
  tenant: record.tenant,
  project: record.project,
  model: record.model.name,
  ...(record.model.version === undefined ? {} : { modelVersion: record.model.version }),
  state: record.state,
  requestDigest: record.request.digest,
  requestSequence: record.request.sequence,
});

function rowOf(tensor: Tensor, row: number): Tensor {
  const [rows = 1, ...rest] = tensor.shape;
  const width = tensor.data.length / rows;
  return {
    ...tensor,
    shape: [1, ...rest],
    data: tensor.data.subarray(row * width, (row + 1) * width) as Tensor["data"],
  };
}

/** A result whose outputs differ in their number of rows has those that all of them have. */
const rowsOf = (outputs: readonly Tensor[]): number[] => {
  const rows = outputs.length > 0 ? Math.min(...outputs.map(({ shape }) => shape[0] ?? 0)) : 0;
  return Array.from({ length: rows }, (_, row) => row);
};

const orNone = (outputs: Result<Tensor[]>): readonly Tensor[] => (outputs.ok ? outputs.value : []);

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
