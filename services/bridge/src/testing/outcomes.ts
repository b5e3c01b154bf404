import type { Bus } from "@millrace/bus";
import type { RequestParameters, Tensor } from "@millrace/contracts";
import { doneRecord, storeOutcome } from "@millrace/testkit";

export type Stored = { id: string; bytes: Uint8Array };
type Options = {
  model?: string;
  values?: number;
  sequence?: number;
  parametersOf?: (index: number) => RequestParameters;
};

/** Stores results in OUTCOMES as inference does, all at once; answers their ids. `values` makes them larger. */
export async function storeOutcomes(
  bus: Bus,
  count: number,
  { model = "pump", values = 1, sequence = 1, parametersOf }: Options = {},
): Promise<Stored[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) => storeOne(bus, model, values, sequence + index, parametersOf?.(index))),
  );
}

async function storeOne(bus: Bus, model: string, values: number, sequence: number, parameters?: RequestParameters) {
  const risk: Tensor = { name: "risk", datatype: "FP32", shape: [1, values], data: new Float32Array(values).fill(0.5) };
  const plain = doneRecord({
    outputs: [risk],
    ...(model === "pump" ? {} : { model: { ...doneRecord().model, name: model } }),
  });
  const request = {
    ...plain.request,
    sequence,
    correlation_id: `corr-${plain.id}`,
    ...(parameters ? { parameters } : {}),
  };
  const record = { ...plain, request };
  return { id: record.id, bytes: await storeOutcome(bus, record) };
}
