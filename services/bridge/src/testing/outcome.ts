import type { StoredOutcome } from "@millrace/bus";
import { type DoneOutcome, decodeOutcome, encodeDone, type RequestParameters } from "@millrace/contracts";
import { doneRecord } from "@millrace/testkit";

/** A result as it is read from OUTCOMES, with one value of `risk` in each row. */
export function doneOutcome({
  id = "a",
  values = [0.5],
  parameters,
}: {
  id?: string;
  values?: readonly number[];
  parameters?: RequestParameters;
} = {}): StoredOutcome {
  const plain = doneRecord({
    id,
    outputs: [{ name: "risk", datatype: "FP32", shape: [values.length, 1], data: Float32Array.from(values) }],
  });
  const request = { ...plain.request, sequence: 7, correlation_id: "c", ...(parameters ? { parameters } : {}) };
  const body = encodeDone({ ...plain, request }, "json");
  const decoded = decodeOutcome(body);
  if (!decoded.ok) throw new Error(decoded.problem.detail);
  const record = decoded.value as DoneOutcome;
  const { tenant, project } = record;
  return {
    address: { tenant, project, model: record.model.name, id, state: "done" },
    sequence: 1,
    body,
    record,
    envelope: {
      id: `${id}.${record.attempt}`,
      type: "millrace.inference.completed.v1",
      source: "/millrace/inference",
      subject: `out.${tenant}.${project}.${record.model.name}.${id}.done`,
      time: record.completed_at,
      datacontenttype: "application/json",
      correlationid: "c",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
  };
}
