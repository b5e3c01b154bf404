import { ARRAY_OF, elementCount, type Manifest, rowCount, type Tensor } from "@millrace/contracts";
import type { NamedTensorMap } from "@tensorflow/tfjs";
import { ModelFolderError } from "./error.ts";
import { readModelFolder } from "./folder.ts";
import { openLayers, openSavedModel } from "./graph.ts";
import type { TensorFlow } from "./load.ts";
import { signatureMistakes } from "./signature.ts";
import { fromTf, toTf } from "./tensor.ts";

/** A model that is loaded and agrees with its manifest. */
export interface Model extends Disposable {
  readonly manifest: Manifest;
  /** `sha256:<hex>` of the artifact's files; see `artifactDigest`. */
  readonly digest: string;
  /**
   * One run over all rows, blocking. Takes the manifest's inputs in any order, already validated against it; gives the
   * manifest's outputs in its order, each with as many rows as came in. Values may be NaN where the model is undefined.
   * @throws Error when an input is missing, the graph fails, or an output has another shape than promised.
   */
  predict(inputs: readonly Tensor[]): Tensor[];
  /** Runs zeros through the model at one row and at the largest batch, so that the first request pays for no set-up. */
  warmUp(): void;
  dispose(): void;
}

/**
 * Loads the model of a folder.
 * @throws ModelFolderError that says what is wrong with the folder and what to do.
 */
export async function openModel(folder: string, tf: TensorFlow): Promise<Model> {
  const source = await readModelFolder(folder);
  const { manifest, digest } = source;
  const graph = await (manifest.format === "layers" ? openLayers(source, tf) : openSavedModel(source, tf));
  const mistakes = signatureMistakes(manifest, graph);
  if (mistakes.length > 0) {
    graph.dispose();
    throw new ModelFolderError(
      folder,
      `manifest.json and the graph differ: ${mistakes.join("; ")}. Correct the manifest`,
    );
  }

  const run = (inputs: readonly Tensor[]): Tensor[] => {
    const named: NamedTensorMap = {};
    for (const { name } of manifest.inputs) {
      const tensor = inputs.find((candidate) => candidate.name === name);
      if (!tensor) throw new Error(`${manifest.name} needs the input "${name}"`);
      named[name] = toTf(tf, tensor);
    }
    const results = graph.run(named);
    return manifest.outputs.map((output) => {
      const tensor = fromTf(results[output.name]!, output);
      const promised = [rowCount(inputs), ...output.shape.slice(1)];
      if (promised.length !== tensor.shape.length || promised.some((n, i) => n !== -1 && n !== tensor.shape[i])) {
        throw new Error(`${manifest.name} gave "${output.name}" as [${tensor.shape}] where [${promised}] was promised`);
      }
      return tensor;
    });
  };

  const predict = (inputs: readonly Tensor[]): Tensor[] => {
    let outputs: Tensor[] = [];
    tf.tidy(() => {
      outputs = run(inputs);
    });
    return outputs;
  };

  const dispose = once(() => graph.dispose());
  return {
    manifest,
    digest,
    predict,
    warmUp() {
      for (const rows of new Set([1, manifest.batch.rows_max])) predict(zeros(manifest, rows));
    },
    dispose,
    [Symbol.dispose]: dispose,
  };
}

/** Inputs of zeros; free dimensions other than the batch are 1. */
function zeros(manifest: Manifest, rows: number): Tensor[] {
  return manifest.inputs.map(({ name, datatype, shape }) => {
    const sized = [rows, ...shape.slice(1).map((size) => (size === -1 ? 1 : size))];
    return { name, datatype, shape: sized, data: new ARRAY_OF[datatype](elementCount(sized)) };
  });
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
