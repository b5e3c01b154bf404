/** The turbofan model: from an engine's last 30 cycles to the cycles it has left, on NASA's C-MAPSS FD001. */
import type { Manifest } from "@millrace/contracts";
import type { Model, TensorFlow } from "@millrace/tensorflow";
import { type NetworkShape, type Trained, trainNetwork } from "./network.ts";
import { type LifeQuality, lifeQuality } from "./quality.ts";
import { TURBOFAN_FEATURES, type TurbofanData, WINDOW, windows } from "./turbofan-data.ts";

/** Far from failure nothing shows yet, so the target is capped: the usual piecewise form for this data. */
export const LIFE_CAP = 125;

export const TURBOFAN_RUL: Manifest = {
  name: "turbofan-rul",
  version: "1",
  runner: "tensorflow",
  format: "layers",
  description: `Remaining useful life of a turbofan engine in cycles, at most ${LIFE_CAP}, from its last ${WINDOW} cycles in raw units; shorter histories repeat the first reading in front. Trained on NASA C-MAPSS FD001.`,
  inputs: [
    {
      name: "readings",
      datatype: "FP32",
      shape: [-1, WINDOW, TURBOFAN_FEATURES.length],
      features: [...TURBOFAN_FEATURES],
      description: `${WINDOW} consecutive cycles per row, oldest first`,
    },
  ],
  outputs: [
    {
      name: "remaining_cycles",
      datatype: "FP32",
      shape: [-1, 1],
      description: `Cycles until failure, from 0 to ${LIFE_CAP}`,
    },
  ],
  batch: { rows_max: 1024 },
  timeout_ms: 5_000,
};

const SHAPE: NetworkShape = {
  name: TURBOFAN_RUL.name,
  input: "readings",
  inputShape: [WINDOW, TURBOFAN_FEATURES.length],
  hidden: [96, 48],
  output: "remaining_cycles",
  outputScale: LIFE_CAP,
};

export interface TurbofanTraining {
  readonly epochs?: number;
  readonly seed?: number;
  readonly onEpoch?: (epoch: number, loss: number) => void;
}

export function trainTurbofan(
  tf: TensorFlow,
  data: Pick<TurbofanData, "training">,
  { epochs = 16, seed = 3, onEpoch }: TurbofanTraining = {},
): Promise<Trained> {
  const rows = [...windows(data.training)];
  const life = new Map(data.training.map(({ unit, readings }) => [unit, readings.length]));
  const width = WINDOW * TURBOFAN_FEATURES.length;
  const inputs = new Float32Array(rows.length * width);
  for (const [row, { values }] of rows.entries()) inputs.set(values, row * width);
  return trainNetwork(tf, {
    shape: SHAPE,
    examples: {
      inputs,
      targets: Float32Array.from(rows, ({ unit, cycle }) => Math.min(LIFE_CAP, life.get(unit)! - cycle)),
    },
    options: {
      seed,
      epochs,
      batchSize: 256,
      learningRate: 1e-3,
      loss: "meanSquaredError",
      dropout: 0.2,
      l2: 1e-5,
      ...(onEpoch ? { onEpoch } : {}),
    },
  });
}

/** Quality at the last cycle of each test engine; the truth is not capped. */
export function turbofanQuality(model: Model, { test, testLife }: TurbofanData): LifeQuality {
  const last = test.map((engine) => [...windows([engine])].at(-1)!);
  const predicted = last.map(({ values }) => {
    const shape = [1, WINDOW, TURBOFAN_FEATURES.length];
    return model.predict([{ name: "readings", datatype: "FP32", shape, data: values }])[0]!.data[0]!;
  });
  return lifeQuality(predicted, testLife);
}
