import { accessSync, constants } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the clone: its services are started from here. */
export const repositoryRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");

/**
 * An executable that the set-up provides, or one on PATH.
 * @throws when there is neither, with what to run
 */
export function findBinary(name: string): string {
  const places = [path.join(repositoryRoot, ".toolchain/bin"), ...(process.env.PATH ?? "").split(path.delimiter)];
  const found = places.map((place) => path.join(place, name)).find(isExecutable);
  if (found === undefined) throw new Error(`${name} is not installed: run \`npm run setup\` in ${repositoryRoot}`);
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
