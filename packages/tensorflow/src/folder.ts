/**
 * The model folder: `manifest.json`, which says what the model takes and gives, and beside it the artifact in the
 * format the manifest names (https://www.tensorflow.org/js/guide/save_load and /guide/saved_model).
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { digestOf, Manifest } from "@millrace/contracts";
import { Compile } from "typebox/compile";
import { ModelFolderError } from "./error.ts";

/** The artifact's files by their path inside the folder (with `/`), in canonical order: sorted by UTF-16 code unit. */
export type Artifact = ReadonlyMap<string, Buffer>;

export interface ModelFolder {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly artifact: Artifact;
  readonly digest: string;
}

/** @throws ModelFolderError when a file is missing, leads out of the folder, or the manifest is not valid. */
export async function readModelFolder(folder: string): Promise<ModelFolder> {
  const manifest = await readManifest(folder);
  const names = manifest.format === "layers" ? await layersFiles(folder) : await savedModelFiles(folder);
  const artifact = new Map<string, Buffer>();
  for (const name of names.sort()) artifact.set(name, await read(folder, name));
  return { folder, manifest, artifact, digest: artifactDigest(artifact) };
}

/**
 * `sha256:<hex>` over one line `<sha256 of the file, hex>  <path>\n` per artifact file, in canonical order: what
 * `sha256sum model.json weights.bin | sha256sum` prints, so anybody can check it. The manifest is left out: its limits
 * and texts may change without changing what the model computes.
 */
export function artifactDigest(artifact: Artifact): string {
  const lines = [...artifact].map(([name, bytes]) => `${createHash("sha256").update(bytes).digest("hex")}  ${name}\n`);
  return digestOf(Buffer.from(lines.join("")));
}

/** Reads and validates `manifest.json`; touches nothing else of the folder. */
export async function readManifest(folder: string): Promise<Manifest> {
  const bytes = await read(folder, "manifest.json");
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new ModelFolderError(folder, "manifest.json is not JSON; correct the file", { cause });
  }
  if (!manifestValidator.Check(json)) {
    const mistakes = manifestValidator
      .Errors(json)
      .map(({ instancePath, message }) => `${instancePath || "/"} ${message}`);
    throw new ModelFolderError(folder, `manifest.json is not a model manifest: ${mistakes.join("; ")}`);
  }
  return json;
}

const manifestValidator = Compile(Manifest);

/** `model.json` and the weight files it lists. */
async function layersFiles(folder: string): Promise<string[]> {
  const { weightsManifest } = parseModelJson(folder, await read(folder, "model.json"));
  return ["model.json", ...new Set(weightsManifest.flatMap((group) => group.paths))];
}

/** Everything TensorFlow may read: the graph, its variables and its assets. */
async function savedModelFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
    .filter((name) => name === "saved_model.pb" || /^(variables|assets|assets\.extra)\//.test(name));
}

/** The part of a TensorFlow.js `model.json` that loading needs. */
export interface ModelJson {
  readonly modelTopology: object;
  readonly weightsManifest: readonly { readonly paths: readonly string[]; readonly weights: readonly object[] }[];
}

export function parseModelJson(folder: string, bytes: Buffer): ModelJson {
  let json: Partial<ModelJson>;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new ModelFolderError(folder, "model.json is not JSON; export the model again", { cause });
  }
  const { modelTopology, weightsManifest } = json;
  if (!modelTopology || !Array.isArray(weightsManifest)) {
    throw new ModelFolderError(
      folder,
      "model.json has no modelTopology and weightsManifest; export the model as a TensorFlow.js layers model",
    );
  }
  return { modelTopology, weightsManifest };
}

async function read(folder: string, name: string): Promise<Buffer> {
  const file = path.resolve(folder, name);
  if (!file.startsWith(path.resolve(folder) + path.sep)) {
    throw new ModelFolderError(folder, `"${name}" leads out of the folder; keep every file of a model inside it`);
  }
  try {
    return await readFile(file);
  } catch (cause) {
    throw new ModelFolderError(folder, `${name} cannot be read; check that the folder is complete`, { cause });
  }
}
