import { FEATURES, machineReadings } from "@millrace/models/readings";
import type { Submit } from "@millrace/testkit";

export const MODEL = "failure-risk";

/** An OIP body with one reading, or with several as rows. */
export function riskBody(...readings: readonly (readonly number[])[]) {
  const shape = [readings.length, FEATURES.length];
  return { inputs: [{ name: "readings", datatype: "FP32", shape, data: readings.flat() }] };
}

/** Requests with one reading each, every one of them another; their keys are `<prefix>-<number>`. */
export function* riskRequests(prefix: string, count: number): Generator<Submit & { key: string }> {
  const readings = machineReadings({ seed: 5, machines: 10, hours: Math.ceil(count / 10) });
  let number = 0;
  for (const { values } of readings) {
    if (number === count) return;
    yield { model: MODEL, key: `${prefix}-${number++}`, body: riskBody(values) };
  }
}

/** A reading of a machine that fails within the hour, and shows it: dry bearings are hard to miss. */
export function failingReading(): readonly number[] {
  for (const { failure_mode, hours_to_failure, values } of machineReadings({ seed: 5, machines: 10 })) {
    if (failure_mode === "lubrication" && hours_to_failure <= 1) return values;
  }
  throw new Error("no machine of this fleet fails for want of oil within a year");
}
