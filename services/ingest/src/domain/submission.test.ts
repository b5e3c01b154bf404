import { encodeTensors, type ModelDeployment } from "@millrace/contracts";
import { describe, expect, it } from "vitest";
import { prepareSubmission } from "./submission.ts";

const model = (width: number): ModelDeployment => ({
  digest: `sha256:${"0".repeat(64)}`,
  manifest: {
    name: "m",
    version: "1",
    runner: "tensorflow",
    format: "layers",
    description: "",
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, width] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1, 1] }],
    batch: { rows_max: 512 },
    timeout_ms: 1_000,
  },
});
const prepare = (width: number, form: "json" | "binary") => {
  const x = { name: "x", datatype: "FP32" as const, shape: [1, width], data: new Float32Array(width).fill(0.1) };
  const origin = { tenant: "acme", project: "plant", model: model(width), priority: "normal" as const };
  const result = prepareSubmission(encodeTensors({}, "inputs", [x], form), {
    ...origin,
    principal: "p",
    traceparent: "t",
  });
  if (!result.ok) throw new Error(result.problem.detail);
  return result.value.request.body;
};

describe("the stored form of a request", () => {
  it("is readable JSON while it is small", () => {
    const body = prepare(64, "json");
    expect(body.headerLength).toBeUndefined();
    expect(JSON.parse(Buffer.from(body.bytes).toString()).inputs[0].data).toHaveLength(64);
  });

  it("is binary tensors when it is large, whichever form it came in, so that both are the same request", () => {
    expect(prepare(65, "json")).toEqual(prepare(65, "binary"));
    expect(prepare(65, "json").headerLength).toBeGreaterThan(0);
  });
});
