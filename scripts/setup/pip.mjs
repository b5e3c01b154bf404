// A wheel from the Python package index, by exact version and SHA-256: pip refuses anything else.
import fs from "node:fs";
import path from "node:path";
import { ask, run } from "./run.mjs";

/** The first Python 3 that has pip, or undefined. */
export function findPython() {
  return ["python3", "python"].find((name) => ask(name, ["-m", "pip", "--version"])?.includes("python 3"));
}

/**
 * Downloads a wheel into `directory` and returns its path. No code of the package runs: wheels only, and nothing is installed.
 * @param {{ python: string, name: string, version: string, sha256: string, platform: string, tags?: string[] }} wheel
 *   `platform` is pip's tag (`manylinux2014_x86_64`); `tags` further options that select the wheel
 */
export async function downloadWheel(directory, { python, name, version, sha256, platform, tags = [] }) {
  const requirements = path.join(directory, "requirements.txt");
  fs.writeFileSync(requirements, `${name}==${version} --hash=sha256:${sha256}\n`);
  const options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--require-hashes", "--progress-bar=off"];
  await run(python, [
    "-m",
    "pip",
    "download",
    ...options,
    "--platform",
    platform,
    ...tags,
    "-r",
    requirements,
    "-d",
    directory,
  ]);
  const file = fs.readdirSync(directory).find((entry) => entry.endsWith(".whl"));
  if (file === undefined) throw new Error(`pip reported success but left no wheel of ${name} ${version}`);
  return path.join(directory, file);
}
