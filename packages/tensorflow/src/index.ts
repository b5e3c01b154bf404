export { ModelFolderError } from "./error.ts";
export { artifactDigest, type ModelFolder, readManifest, readModelFolder } from "./folder.ts";
export {
  type Backend,
  type BackendName,
  type LoadedTensorFlow,
  type LoadOptions,
  loadTensorFlow,
  type TensorFlow,
} from "./load.ts";
export { type Model, openModel } from "./model.ts";
export { saveModel } from "./save.ts";
