/**
 * What every backend must do with a model folder, run by `native.test.ts` and `wasm.test.ts`: the backend is a setting
 * of the whole process, and test files are processes of their own.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Manifest, Tensor } from "@millrace/contracts";
import { beforeAll, describe, expect, test } from "vitest";
import { type LoadedTensorFlow, loadTensorFlow, openModel, saveModel } from "./index.ts";

const MANIFEST: Manifest = {
  name: "tiny-mlp",
  version: "1",
  runner: "tensorflow",
  format: "layers",
  description: "Two readings to one probability",
  inputs: [{ name: "readings", datatype: "FP32", shape: [-1, 2], features: ["a", "b"] }],
  outputs: [{ name: "probability", datatype: "FP32", shape: [-1, 1] }],
  batch: { rows_max: 100 },
  timeout_ms: 1000,
};
const HIDDEN = [
  [0.5, -1, 2],
  [1.5, 0.25, -0.75],
];
const BIAS = [0.1, 0.2, -0.3];
const OUT = [1, -2, 0.5];

/** The same network in double precision, so that a backend is compared with arithmetic, not with another backend. */
const byHand = (a: number, b: number): number => {
  const hidden = BIAS.map((bias, i) => Math.max(0, a * HIDDEN[0]![i]! + b * HIDDEN[1]![i]! + bias));
  return 1 / (1 + Math.exp(-hidden.reduce((sum, value, i) => sum + value * OUT[i]!, 0)));
};

const readings = (rows: number): Tensor => ({
  name: "readings",
  datatype: "FP32",
  shape: [rows, 2],
  data: Float32Array.from({ length: rows * 2 }, (_, i) => Math.sin(i) * 3),
});

export function conformance(backend: "native" | "wasm"): void {
  describe(`a layers model on the ${backend} backend`, () => {
    let loaded: LoadedTensorFlow;
    beforeAll(async () => {
      loaded = await loadTensorFlow({ backend });
    });

    async function tinyFolder() {
      const { tf } = loaded;
      const folder = await mkdtemp(path.join(tmpdir(), "millrace-model-"));
      const input = tf.input({ shape: [2], name: "readings" });
      const hidden = tf.layers.dense({ units: 3, activation: "relu", name: "hidden" }).apply(input) as typeof input;
      const output = tf.layers.dense({ units: 1, activation: "sigmoid", name: "probability" }).apply(hidden);
      const model = tf.model({ inputs: input, outputs: output as typeof input, name: "tiny" });
      const weights = [tf.tensor2d(HIDDEN), tf.tensor1d(BIAS), tf.tensor2d(OUT, [3, 1]), tf.tensor1d([0])];
      model.setWeights(weights);
      await saveModel(folder, { model, manifest: MANIFEST, tf });
      tf.dispose(weights);
      model.dispose();
      return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
    }
    const rewrite = async (folder: string, change: (manifest: Manifest) => void) => {
      const manifest = structuredClone(MANIFEST);
      change(manifest);
      await writeFile(path.join(folder, "manifest.json"), JSON.stringify(manifest));
    };

    test("computes what arithmetic says, for any number of rows", async () => {
      await using tiny = await tinyFolder();
      using model = await openModel(tiny.folder, loaded.tf);
      for (const rows of [1, 33, 100]) {
        const input = readings(rows);
        const [output, ...none] = model.predict([input]);
        expect(none).toEqual([]);
        expect(output).toMatchObject({ name: "probability", datatype: "FP32", shape: [rows, 1] });
        for (let row = 0; row < rows; row++)
          expect(output!.data[row]).toBeCloseTo(byHand(input.data[row * 2]!, input.data[row * 2 + 1]!), 5);
      }
    });

    test("names its backend and leaks no tensor, also when the graph fails", async () => {
      await using tiny = await tinyFolder();
      expect(loaded.backend.name).toBe(`tensorflow-${backend}`);
      expect(loaded.backend.version).toMatch(/^\d+\.\d+\.\d+$/);
      const before = loaded.tf.memory().numTensors;
      const model = await openModel(tiny.folder, loaded.tf);
      model.warmUp();
      const opened = loaded.tf.memory().numTensors;
      for (let i = 0; i < 20; i++) model.predict([readings(7)]);
      expect(() => model.predict([{ ...readings(2), shape: [1, 4] }])).toThrow();
      expect(() => model.predict([])).toThrow('needs the input "readings"');
      expect(loaded.tf.memory().numTensors).toBe(opened);
      model.dispose();
      model.dispose();
      expect(loaded.tf.memory().numTensors).toBe(before);
    });

    test("has a digest that depends on the artifact alone", async () => {
      await using one = await tinyFolder();
      await using other = await tinyFolder();
      await rewrite(other.folder, (manifest) => {
        manifest.description = "another text";
      });
      using a = await openModel(one.folder, loaded.tf);
      using b = await openModel(other.folder, loaded.tf);
      expect(a.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(b.digest).toBe(a.digest);
      const weights = await readFile(path.join(other.folder, "weights.bin"));
      weights.writeFloatLE(0.75, 0);
      await writeFile(path.join(other.folder, "weights.bin"), weights);
      using changed = await openModel(other.folder, loaded.tf);
      expect(changed.digest).not.toBe(a.digest);
    });

    test("refuses a manifest that promises another shape, type or name than the graph has", async () => {
      await using tiny = await tinyFolder();
      const before = loaded.tf.memory().numTensors;
      await rewrite(tiny.folder, (manifest) => {
        manifest.inputs[0]!.shape = [-1, 3];
        manifest.outputs[0]!.datatype = "FP64";
        manifest.outputs.push({ name: "margin", datatype: "FP32", shape: [-1, 1] });
      });
      const refused = expect(openModel(tiny.folder, loaded.tf)).rejects;
      await refused.toThrow(/"readings" names 2 features, but its last axis is 3/);
      await refused.toThrow(/"readings" is declared as \[-1,3\], but the graph's is \[-1,2\]/);
      await refused.toThrow(/"probability" is FP64, which TensorFlow.js cannot compute with/);
      await refused.toThrow(/"margin" is not in the graph, which has "probability"/);
      expect(loaded.tf.memory().numTensors).toBe(before);
    });

    test("says which file of a folder is missing, cut off or outside", async () => {
      await using tiny = await tinyFolder();
      const open = () => openModel(tiny.folder, loaded.tf);
      const file = (name: string) => path.join(tiny.folder, name);
      const intact = await readFile(file("model.json"), "utf8");
      await writeFile(file("model.json"), intact.replace('"weights.bin"', '"../weights.bin"'));
      await expect(open()).rejects.toThrow('"../weights.bin" leads out of the folder');
      await writeFile(file("model.json"), intact.slice(0, 100));
      await expect(open()).rejects.toThrow("model.json is not JSON");
      await writeFile(file("model.json"), intact);
      await writeFile(file("weights.bin"), Buffer.alloc(4));
      await expect(open()).rejects.toThrow("cannot build the layers model");
      await rm(file("weights.bin"));
      await expect(open()).rejects.toThrow("weights.bin cannot be read");
      await writeFile(file("manifest.json"), '{"name":"x"}');
      await expect(open()).rejects.toThrow(/manifest.json is not a model manifest: .*version/);
    });
  });
}
