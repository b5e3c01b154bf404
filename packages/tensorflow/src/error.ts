/** A model folder that cannot be served. The message names the folder, what is wrong with it, and what to do. */
export class ModelFolderError extends Error {
  readonly code = "model-folder-invalid";

  constructor(folder: string, what: string, options?: ErrorOptions) {
    super(`Model folder ${folder}: ${what}.`, options);
    this.name = "ModelFolderError";
  }
}
