/**
 * Trains a model and writes its folder.
 *
 *   node models/src/train.ts                                 failure-risk on synthetic readings, into models/
 *   node models/src/train.ts --data ../shared/data/cmapss    turbofan-rul on C-MAPSS FD001, into .cache/models/
 *
 * --out DIR chooses where the folder `<name>` goes. Seeds are fixed: the same machine trains the same weights.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import type { Manifest } from "@millrace/contracts";
import { loadTensorFlow, type Model, openModel, saveModel, type TensorFlow } from "@millrace/tensorflow";
import { FAILURE_RISK, failureRiskQuality, trainFailureRisk } from "./failure-risk.ts";
import type { Trained } from "./network.ts";
import { TURBOFAN_RUL, trainTurbofan, turbofanQuality } from "./turbofan.ts";
import { readTurbofan } from "./turbofan-data.ts";

/** What is trained: the manifest it is served by, how, and how good it turned out. */
interface Recipe {
  readonly manifest: Manifest;
  readonly out: string;
  train(tf: TensorFlow, onEpoch: (epoch: number, loss: number) => void): Promise<Trained>;
  quality(model: Model): object;
}

const root = path.resolve(import.meta.dirname, "../..");

const { data, out } = parseArgs({ options: { data: { type: "string" }, out: { type: "string" } } }).values;
await train(data === undefined ? failureRisk() : await turbofan(data));

async function train(recipe: Recipe): Promise<void> {
  const { tf, backend, fallbackReason } = await loadTensorFlow();
  if (fallbackReason) console.log(fallbackReason);
  console.log(`Training ${recipe.manifest.name} on ${backend.name} ${backend.version}`);
  const started = performance.now();
  const { model } = await recipe.train(tf, (epoch, loss) => console.log(`epoch ${epoch + 1}: loss ${loss.toFixed(5)}`));
  const folder = path.resolve(out ?? recipe.out, recipe.manifest.name);
  await saveModel(folder, { model, manifest: recipe.manifest, tf });
  model.dispose();

  // Judged as it will be served: read back from the folder, through the same code as the inference service.
  using served = await openModel(folder, tf);
  const quality = { digest: served.digest, ...recipe.quality(served) };
  await writeFile(path.join(folder, "quality.json"), `${JSON.stringify(quality, null, 2)}\n`);
  console.log(`Held-out quality: ${JSON.stringify(quality, null, 2)}`);
  console.log(`Wrote ${folder} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

function failureRisk(): Recipe {
  return {
    manifest: FAILURE_RISK,
    out: path.join(root, "models"),
    train: (tf, onEpoch) => trainFailureRisk(tf, { onEpoch }),
    quality: failureRiskQuality,
  };
}

async function turbofan(folder: string): Promise<Recipe> {
  const cmapss = await readTurbofan(path.resolve(folder));
  return {
    manifest: TURBOFAN_RUL,
    out: path.join(root, ".cache/models"),
    train: (tf, onEpoch) => trainTurbofan(tf, cmapss, { onEpoch }),
    quality: (model) => turbofanQuality(model, cmapss),
  };
}
