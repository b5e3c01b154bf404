import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Manifest } from "@millrace/contracts";
import type { LayersModel } from "@tensorflow/tfjs";
import type { TensorFlow } from "./load.ts";

/**
 * Writes a layers model as a model folder: `manifest.json`, `model.json`, `weights.bin`. Works on every backend, and
 * equal weights give equal bytes, and so the same digest, when the model and all its layers were given names: those that
 * TensorFlow.js makes up count on through the process.
 */
export async function saveModel(
  folder: string,
  { model, manifest, tf }: { model: LayersModel; manifest: Manifest; tf: TensorFlow },
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await model.save(
    tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
      const weights = [weightData ?? []].flat().map((part) => new Uint8Array(part));
      await writeFile(path.join(folder, "weights.bin"), Buffer.concat(weights));
      const weightsManifest = [{ paths: ["weights.bin"], weights: weightSpecs }];
      await writeJson(folder, "model.json", { format: "layers-model", modelTopology, weightsManifest });
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
    }),
  );
  await writeJson(folder, "manifest.json", manifest);
}

const writeJson = (folder: string, name: string, value: unknown): Promise<void> =>
  writeFile(path.join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
