/** The failure-risk model: from one reading of a machine to the probability that it fails within 72 hours. */
import type { Manifest } from "@millrace/contracts";
import type { Model, TensorFlow } from "@millrace/tensorflow";
import { type Examples, type NetworkShape, type Trained, trainNetwork } from "./network.ts";
import { type BinaryQuality, binaryQuality } from "./quality.ts";
import { FEATURES, HORIZON_HOURS, machineReadings } from "./readings.ts";

export const FAILURE_RISK: Manifest = {
  name: "failure-risk",
  version: "1",
  runner: "tensorflow",
  format: "layers",
  description: `Probability that a motor-driven pump fails within ${HORIZON_HOURS} hours, from one reading in raw units. Trained on synthetic readings (models/src/readings.ts).`,
  inputs: [
    {
      name: "readings",
      datatype: "FP32",
      shape: [-1, FEATURES.length],
      features: [...FEATURES],
      description: "One reading per row, in the units that the names of the features end with",
    },
  ],
  outputs: [
    {
      name: "failure_probability",
      datatype: "FP32",
      shape: [-1, 1],
      description: `From 0 to 1; act from 0.8 on`,
    },
  ],
  batch: { rows_max: 4096 },
  timeout_ms: 5_000,
};

/** Fleets are apart from each other by their seed: no machine of one is in another. */
const FLEETS = {
  training: { seed: 20_261, machines: 160, hours: 2_400 },
  heldOut: { seed: 20_262, machines: 60, hours: 2_400 },
} as const;

const SHAPE: NetworkShape = {
  name: FAILURE_RISK.name,
  input: "readings",
  inputShape: [FEATURES.length],
  hidden: [64, 32],
  output: "failure_probability",
  outputScale: 1,
};

export interface RiskTraining {
  readonly machines?: number;
  readonly epochs?: number;
  readonly onEpoch?: (epoch: number, loss: number) => void;
}

export function trainFailureRisk(
  tf: TensorFlow,
  { machines, epochs = 12, onEpoch }: RiskTraining = {},
): Promise<Trained> {
  const fleet = { ...FLEETS.training, ...(machines === undefined ? {} : { machines }) };
  return trainNetwork(tf, {
    shape: SHAPE,
    examples: labelledReadings(fleet, 4),
    options: {
      seed: 7,
      epochs,
      batchSize: 512,
      learningRate: 3e-3,
      loss: "binaryCrossentropy",
      ...(onEpoch ? { onEpoch } : {}),
    },
  });
}

/** Quality on machines that training never saw. */
export function failureRiskQuality(model: Model): BinaryQuality {
  const { inputs, targets } = labelledReadings(FLEETS.heldOut, 4);
  const [output] = model.predict([
    { name: "readings", datatype: "FP32", shape: [targets.length, FEATURES.length], data: inputs },
  ]);
  return binaryQuality(output!.data as Float32Array, targets, { threshold: 0.8 });
}

/** Readings of a fleet with 1 where the machine fails within the horizon; neighbours in time say little more, so each `every`-th hour. */
export function labelledReadings(fleet: { seed: number; machines: number; hours: number }, every: number): Examples {
  const inputs: number[] = [];
  const targets: number[] = [];
  for (const reading of machineReadings(fleet)) {
    if (reading.hour % every !== 0) continue;
    inputs.push(...reading.values);
    targets.push(reading.hours_to_failure <= HORIZON_HOURS ? 1 : 0);
  }
  return { inputs: Float32Array.from(inputs), targets: Float32Array.from(targets) };
}
