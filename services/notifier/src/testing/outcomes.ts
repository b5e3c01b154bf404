import type { Bus } from "@millrace/bus";
import {
  type DoneRecord,
  encodeDone,
  freshRequestId,
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
  const of = { tenant: "acme", project: "plant", model: "pump", id };
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
    runtime: { backend: "tensorflow-native", version: "4.22.0" },
    timing: { started_at: "2026-11-21T11:59:59.900Z", compute_ms: 1.25, batch_rows: 1 },
    outputs: [risk],
    ...over,
  };
}

/** Stores a result in OUTCOMES as the user of `bus` (inference). Answers its stored bytes. */
export async function storeOutcome(
  bus: Bus,
  record: DoneRecord = doneRecord(),
  form: "json" | "binary" = "json",
): Promise<Uint8Array> {
  const of = { tenant: record.tenant, project: record.project, model: record.model.name, id: record.id };
  const subject = outcomeSubject({ ...of, state: "done" });
  const { bytes, headerLength } = encodeDone(record, form);
  const stored = await bus.store({
    subject,
    exclusive: outcomeFilter(of),
    body: bytes,
    ...(headerLength === undefined ? {} : { headerLength }),
    envelope: {
      id: outcomeId(record.id, record.attempt),
      type: "millrace.inference.completed.v1",
      source: "/millrace/inference",
      subject,
      time: record.completed_at,
      datacontenttype: headerLength === undefined ? "application/json" : "application/octet-stream",
      correlationid: record.request.correlation_id,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
  });
  if (!stored.stored) throw new Error(`${subject} was stored before`);
  return bytes;
}
