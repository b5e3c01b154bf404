import path from "node:path";
import { describe, expect, test } from "vitest";
import { conformance } from "./conformance.ts";
import { loadTensorFlow, openModel } from "./index.ts";

const { backend, fallbackReason } = await loadTensorFlow();

// Machines that cannot have native TensorFlow serve with WASM, which wasm.test.ts covers.
describe.skipIf(backend.name !== "tensorflow-native")(`native TensorFlow ${fallbackReason ?? ""}`, () => {
  conformance("native");

  test("a SavedModel runs by its signature's names and leaks no tensor", async () => {
    const { tf } = await loadTensorFlow({ backend: "native" });
    const before = tf.memory().numTensors;
    using model = await openModel(path.join(import.meta.dirname, "../fixtures/saved-model"), tf);
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    for (let i = 0; i < 5; i++) {
      const outputs = model.predict([{ name: "readings", datatype: "FP32", shape: [2, 3], data }]);
      expect(outputs).toEqual([
        { name: "sum", datatype: "FP32", shape: [2, 1], data: Float32Array.of(6, 15) },
        { name: "scaled", datatype: "FP32", shape: [2, 3], data: Float32Array.of(2, 4, 6, 8, 10, 12) },
      ]);
    }
    expect(tf.memory().numTensors).toBe(before);
  });
});
