import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";

/**
 * Gathers model folders (each with a `manifest.json`) from several places into one directory, which the services
 * read. They are copied, so that a file edited later does not change under a running service; a folder is there whole or
 * not at all.
 * @returns the models' names, sorted
 * @throws when a place does not exist or two models share a name
 */
export function gatherModels(places: readonly string[], target: string): string[] {
  mkdirSync(target, { recursive: true });
  const from = new Map<string, string>();
  for (const folder of places.flatMap(modelFolders)) {
    const name = modelName(folder);
    const other = from.get(name);
    if (other !== undefined) throw new Error(`${folder} and ${other} both hold a model named "${name}": rename one`);
    from.set(name, folder);
  }
  for (const name of readdirSync(target)) if (!from.has(name)) rmSync(path.join(target, name), { recursive: true });
  for (const [name, folder] of from) {
    const copy = path.join(target, `${name}.new`);
    cpSync(folder, copy, { recursive: true });
    rmSync(path.join(target, name), { recursive: true, force: true });
    renameSync(copy, path.join(target, name));
  }
  return [...from.keys()].sort();
}

/** A place is one model folder or a directory of them. */
function modelFolders(place: string): string[] {
  if (!existsSync(place)) throw new Error(`there is no model folder at ${place}`);
  if (existsSync(path.join(place, "manifest.json"))) return [place];
  return readdirSync(place)
    .map((name) => path.join(place, name))
    .filter((folder) => existsSync(path.join(folder, "manifest.json")));
}

/** The manifest's own name; the services validate the rest of it. */
function modelName(folder: string): string {
  const manifest = JSON.parse(readFileSync(path.join(folder, "manifest.json"), "utf8")) as { name?: unknown };
  if (typeof manifest.name !== "string") throw new Error(`${folder}/manifest.json names no model`);
  return manifest.name;
}
