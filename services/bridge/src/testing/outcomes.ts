import type { Bus } from "@millrace/bus";
import type { Tensor } from "@millrace/contracts";
import { doneRecord, storeOutcome } from "@millrace/testkit";

/** Stores results in OUTCOMES as inference does, all at once; answers their ids. `values` makes them larger. */
export async function storeOutcomes(
  bus: Bus,
  count: number,
  { model = "pump", values = 1, sequence = 1 }: { model?: string; values?: number; sequence?: number } = {},
): Promise<{ id: string; bytes: Uint8Array }[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => storeOne(bus, model, values, sequence + index)));
}

async function storeOne(bus: Bus, model: string, values: number, sequence: number) {
  const risk: Tensor = { name: "risk", datatype: "FP32", shape: [1, values], data: new Float32Array(values).fill(0.5) };
  const plain = doneRecord({
    outputs: [risk],
    ...(model === "pump" ? {} : { model: { ...doneRecord().model, name: model } }),
  });
  const record = { ...plain, request: { ...plain.request, sequence, correlation_id: `corr-${plain.id}` } };
  return { id: record.id, bytes: await storeOutcome(bus, record) };
}
