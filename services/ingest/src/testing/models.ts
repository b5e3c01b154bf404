import { digestOf, type ModelDeployment } from "@millrace/contracts";

/** Deployed models of the tests. */

/** Sums the row of each input: `total` is [rows, 1]. */
export const SUM: ModelDeployment = {
  manifest: {
    name: "sum",
    version: "3",
    runner: "tensorflow",
    format: "layers",
    description: "Adds up three readings",
    inputs: [{ name: "reading", datatype: "FP32", shape: [-1, 3], features: ["a", "b", "c"] }],
    outputs: [{ name: "total", datatype: "FP64", shape: [-1, 1] }],
    batch: { rows_max: 512 },
    timeout_ms: 1_000,
  },
  digest: digestOf(Buffer.from("sum")),
};

/** Two inputs, one of them a window of two sensors over four cycles, one a whole number per row. */
export const WINDOW: ModelDeployment = {
  ...SUM,
  manifest: {
    ...SUM.manifest,
    name: "window",
    inputs: [
      { name: "cycles", datatype: "FP32", shape: [-1, 4, 2], features: ["heat", "speed"] },
      { name: "machine", datatype: "INT32", shape: [-1] },
    ],
  },
};
