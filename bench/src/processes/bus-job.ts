import { encodeRequest, freshRequestId, type Tensor } from "@millrace/contracts";

/** The messages and the answer that both sides of the `bus` benchmark share. */

export const TENANT = "bench";
export const PROJECT = "bus";
export const DIGEST = `sha256:${"0".repeat(64)}`;

/** Bounds that both sides keep: what the inference service uses. */
export const BATCH_MAX = 64;
export const CONCURRENCY = 4;
export const IN_FLIGHT_MAX = BATCH_MAX * CONCURRENCY;

const INPUT: Tensor = {
  name: "readings",
  datatype: "FP32",
  shape: [1, 12],
  data: Float32Array.from({ length: 12 }, (_, i) => i * 1.5 + 0.25),
};
export const OUTPUT: Tensor = {
  name: "scores",
  datatype: "FP32",
  shape: [1, 3],
  data: new Float32Array([0.125, 0.5, 0.375]),
};

/** One reading of twelve values: 150 bytes of JSON. */
export const requestBody = () => encodeRequest({ inputs: [INPUT], binaryOutput: false }, "json");

export const newRequest = (model: string) => ({
  tenant: TENANT,
  project: PROJECT,
  model,
  id: freshRequestId(),
  priority: "normal" as const,
  body: requestBody(),
  rows: 1,
  modelVersion: "1",
  modelDigest: DIGEST,
  correlationId: "bench",
});
