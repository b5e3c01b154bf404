import type { Bus } from "@millrace/bus";
import {
  encodeDone,
  freshRequestId,
  outcomeFilter,
  outcomeId,
  outcomeSubject,
  requestSubject,
  type Tensor,
} from "@millrace/contracts";

const DIGEST = `sha256:${"ab".repeat(32)}`;

/** Stores results in OUTCOMES as inference does, all at once; answers their ids. `values` makes them larger. */
export async function storeOutcomes(
  bus: Bus,
  count: number,
  { model = "pump", values = 1, sequence = 1 }: { model?: string; values?: number; sequence?: number } = {},
): Promise<{ id: string; bytes: Uint8Array }[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => storeOutcome(bus, model, values, sequence + index)));
}

async function storeOutcome(bus: Bus, model: string, values: number, sequence: number) {
  const id = freshRequestId();
  const of = { tenant: "acme", project: "plant", model, id };
  const subject = outcomeSubject({ ...of, state: "done" });
  const risk: Tensor = { name: "risk", datatype: "FP32", shape: [1, values], data: new Float32Array(values).fill(0.5) };
  const record = {
    id,
    attempt: 1,
    tenant: of.tenant,
    project: of.project,
    completed_at: "2026-11-21T12:00:00.000Z",
    request: {
      digest: DIGEST,
      stream: "REQUESTS_TENSOR",
      sequence,
      subject: requestSubject({ kind: "tensor", priority: "normal", ...of }),
      accepted_at: "2026-11-21T11:59:59.000Z",
      correlation_id: `corr-${id}`,
    },
    model: { name: model, version: "1", digest: DIGEST },
    runtime: { backend: "tensorflow-native", version: "4.22.0" },
    timing: { started_at: "2026-11-21T11:59:59.900Z", compute_ms: 1.25, batch_rows: 1 },
    outputs: [risk],
  };
  const { bytes } = encodeDone(record, "json");
  const stored = await bus.store({
    subject,
    exclusive: outcomeFilter(of),
    body: bytes,
    envelope: {
      id: outcomeId(id, 1),
      type: "millrace.inference.completed.v1",
      source: "/millrace/inference",
      subject,
      time: record.completed_at,
      datacontenttype: "application/json",
      correlationid: record.request.correlation_id,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
  });
  if (!stored.stored) throw new Error(`${subject} was stored before`);
  return { id, bytes };
}
