/**
 * The two artifact formats behind one interface: named ports, and a function from named tensors to named tensors.
 */
import type { io, NamedTensorMap, Tensor as TfTensor } from "@tensorflow/tfjs";
import { ModelFolderError } from "./error.ts";
import { type ModelFolder, parseModelJson } from "./folder.ts";
import type { TensorFlow } from "./load.ts";

/** One named input or output of a loaded graph; -1 is a dimension that is free. */
export interface Port {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

export interface Graph {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** Runs inside the caller's `tf.tidy`; the result is the caller's to read there. */
  run(inputs: NamedTensorMap): NamedTensorMap;
  dispose(): void;
}

/** A Keras model as TensorFlow.js saves it. Its ports are named after its input and output layers. */
export async function openLayers({ folder, artifact }: ModelFolder, tf: TensorFlow): Promise<Graph> {
  const { modelTopology, weightsManifest } = parseModelJson(folder, artifact.get("model.json")!);
  const weights = Buffer.concat(weightsManifest.flatMap((group) => group.paths.map((name) => artifact.get(name)!)));
  const model = await tf
    .loadLayersModel(
      // From memory, because `file://` is known to the native backend only.
      tf.io.fromMemory({
        modelTopology,
        weightSpecs: weightsManifest.flatMap((group) => group.weights) as io.WeightsManifestEntry[],
        weightData: new Uint8Array(weights).buffer,
      }),
    )
    .catch((cause) => {
      throw new ModelFolderError(folder, `TensorFlow.js cannot build the layers model (${text(cause)})`, { cause });
    });
  const port = (tensor: { name: string; dtype: string; shape: (number | null)[] }, name: string): Port => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape.map((size) => size ?? -1),
  });
  return {
    inputs: model.inputs.map((tensor, i) => port(tensor, model.inputNames[i]!)),
    outputs: model.outputs.map((tensor, i) => port(tensor, model.outputNames[i]!)),
    run(inputs) {
      // `apply` rather than `predict`: the same ops without slicing into batches of 32 and checking what the manifest
      // has already promised.
      const ordered = model.inputNames.map((name) => inputs[name]!);
      const result = model.apply(ordered.length === 1 ? ordered[0]! : ordered, { training: false });
      const outputs = (Array.isArray(result) ? result : [result]) as TfTensor[];
      return Object.fromEntries(outputs.map((tensor, i) => [model.outputNames[i]!, tensor]));
    },
    dispose: () => void model.dispose(),
  };
}

/** A TensorFlow SavedModel: its `serving_default` signature names the ports. Runs as one graph, native only. */
export async function openSavedModel({ folder }: ModelFolder, tf: TensorFlow): Promise<Graph> {
  const { node } = tf as TensorFlow & { node?: SavedModelApi };
  if (!node) {
    throw new ModelFolderError(
      folder,
      'a SavedModel needs native TensorFlow, and WASM is in use; run "npm run setup", or export it as a layers model',
    );
  }
  const wanted = { tags: ["serve"], signature: "serving_default" };
  try {
    const signature = (await node.getMetaGraphsFromSavedModel(folder)).find((graph) => graph.tags.includes("serve"))
      ?.signatureDefs[wanted.signature];
    if (!signature) throw new Error("it has no signature serving_default for the tag serve; export it with one");
    const model = await node.loadSavedModel(folder, wanted.tags, wanted.signature);
    return {
      inputs: Object.entries(signature.inputs).map(savedPort),
      outputs: Object.entries(signature.outputs).map(savedPort),
      run: (inputs) => model.predict(inputs),
      dispose: () => model.dispose(),
    };
  } catch (cause) {
    throw new ModelFolderError(folder, `TensorFlow cannot load the SavedModel (${text(cause)})`, { cause });
  }
}

const savedPort = ([name, info]: [string, SavedTensorInfo]): Port => ({
  name,
  dtype: info.dtype,
  shape: info.shape.map((dim) => (typeof dim === "number" ? dim : dim.getSize())),
});

/** What this file uses of `tf.node`, which exists in tfjs-node only. Dimensions come as protobuf messages. */
interface SavedModelApi {
  getMetaGraphsFromSavedModel(folder: string): Promise<
    {
      tags: string[];
      signatureDefs: Record<
        string,
        { inputs: Record<string, SavedTensorInfo>; outputs: Record<string, SavedTensorInfo> }
      >;
    }[]
  >;
  loadSavedModel(
    folder: string,
    tags: string[],
    signature: string,
  ): Promise<{ predict(inputs: NamedTensorMap): NamedTensorMap; dispose(): void }>;
}
interface SavedTensorInfo {
  readonly dtype: string;
  readonly shape: (number | { getSize(): number })[];
}

const text = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
