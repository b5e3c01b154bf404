/** Which model folders a configuration means. */
import { access, readdir } from "node:fs/promises";
import path from "node:path";

/**
 * The model folders of a list separated by `:` or `,`: each entry is one itself, or holds some.
 * @throws Error naming every entry that is neither.
 */
export async function modelFolders(list: string): Promise<string[]> {
  const found: string[] = [];
  const wrong: string[] = [];
  for (const entry of list
    .split(/[:,]/)
    .map((item) => item.trim())
    .filter(Boolean)) {
    const folders = (await isModel(entry)) ? [entry] : await modelsIn(entry);
    if (folders.length === 0) wrong.push(`${entry} has no manifest.json, and no folder in it has one`);
    found.push(...folders);
  }
  if (wrong.length > 0) throw new Error(`MODELS_DIR names folders that hold no model: ${wrong.join("; ")}.`);
  return found;
}

async function modelsIn(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== "node_modules");
  const models: string[] = [];
  for (const { name } of folders.sort((a, b) => a.name.localeCompare(b.name))) {
    const folder = path.join(parent, name);
    if (await isModel(folder)) models.push(folder);
  }
  return models;
}

const isModel = (folder: string): Promise<boolean> =>
  access(path.join(folder, "manifest.json")).then(
    () => true,
    () => false,
  );
