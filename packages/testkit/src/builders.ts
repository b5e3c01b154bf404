import {
  type DoneRecord,
  type Envelope,
  encodeDone,
  freshRequestId,
  InferenceCompleted,
  outcomeFilter,
  outcomeId,
  outcomeSubject,
  requestSubject,
  type Tensor,
} from "@millrace/contracts";

const DIGEST = `sha256:${"ab".repeat(32)}`;

/** A result as inference writes it, with what a test wants to differ. */
export function doneRecord(over: Partial<DoneRecord> = {}): DoneRecord {
  const id = over.id ?? freshRequestId();
  const risk: Tensor = { name: "failure_probability", datatype: "FP32", shape: [1, 1], data: Float32Array.of(0.5) };
  const of = { tenant: "acme", project: "plant", model: over.model?.name ?? "pump", id };
  return {
    id,
    attempt: 1,
    tenant: of.tenant,
    project: of.project,
    completed_at: "2026-11-21T12:00:00.000Z",
    request: {
      digest: DIGEST,
      stream: "REQUESTS_TENSOR",
      sequence: 1,
      subject: requestSubject({ kind: "tensor", priority: "normal", ...of }),
      accepted_at: "2026-11-21T11:59:59.000Z",
      principal: "p-1",
      correlation_id: "corr-1",
      rows: 1,
    },
    model: { name: of.model, version: "1", digest: DIGEST },
    runtime: { backend: "tensorflow-native", version: "2.16.2" },
    timing: { started_at: "2026-11-21T11:59:59.900Z", compute_ms: 1.25, batch_rows: 1 },
    outputs: [risk],
    ...over,
  };
}

/** What is stored for a result: the argument of the bus's `store`. */
type OutcomeMessage = {
  subject: string;
  exclusive: string;
  body: Uint8Array;
  headerLength?: number;
  envelope: Envelope;
};

/** A result as the message that inference stores in OUTCOMES. */
function outcomeMessage(record: DoneRecord, form: "json" | "binary" = "json"): OutcomeMessage {
  const of = { tenant: record.tenant, project: record.project, model: record.model.name, id: record.id };
  const subject = outcomeSubject({ ...of, state: "done" });
  const { bytes, headerLength } = encodeDone(record, form);
  return {
    subject,
    exclusive: outcomeFilter(of),
    body: bytes,
    ...(headerLength === undefined ? {} : { headerLength }),
    envelope: {
      id: outcomeId(record.id, record.attempt),
      type: InferenceCompleted.type,
      source: "/millrace/inference",
      subject,
      time: record.completed_at,
      datacontenttype: headerLength === undefined ? "application/json" : "application/octet-stream",
      correlationid: record.request.correlation_id,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
  };
}

/**
 * Stores a result in OUTCOMES as inference does. Answers its stored bytes.
 * @throws when an outcome of the id was stored before
 */
export async function storeOutcome(
  bus: { store(message: OutcomeMessage): Promise<{ stored: boolean }> },
  record: DoneRecord = doneRecord(),
  form: "json" | "binary" = "json",
): Promise<Uint8Array> {
  const message = outcomeMessage(record, form);
  const { stored } = await bus.store(message);
  if (!stored) throw new Error(`${message.subject} was stored before`);
  return message.body;
}
