import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Plugin, rolldown } from "rolldown";
import { type BundleDeclaration, readDeclaration } from "./declaration.ts";
import { copyAsset, copyPackages } from "./external.ts";

/** What is made: the folder that Node runs, and one with the image's empty folders for volumes. */
type Places = { app: string; volumes: string };

/** Beside every bundle: what an image asks its own process with. */
const HEALTH = fileURLToPath(new URL("health.mjs", import.meta.url));

/**
 * Makes a folder that Node runs as it stands: the package's entries as ES modules with all they import in them, and copies
 * of what cannot be bundled.
 * @throws when the package declares no bundle, an import cannot be resolved, or a file to copy is not there
 */
export async function bundlePackage(packageDir: string, { app: out, volumes: volumesDir }: Places): Promise<void> {
  const declaration = readDeclaration(packageDir);
  const { entries, external = {}, assets = [], copy = {}, volumes = [] } = declaration;
  for (const folder of [out, volumesDir]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }
  const found = new Map<string, string>();
  await using bundle = await rolldown({
    cwd: packageDir,
    input: { ...entries, health: HEALTH },
    platform: "node",
    tsconfig: false, // types are stripped, as Node does; nothing else of it means anything here
    plugins: [leaveOut(external, found)],
    treeshake: true,
    onLog: failOnUnresolved,
  });
  await bundle.write({
    dir: out,
    format: "es",
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name]-[hash].js",
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    comments: { legal: true },
  });
  await copyPackages([...found.values()], external, out);
  const resolve = createRequire(path.join(packageDir, "package.json")).resolve;
  for (const asset of assets) copyAsset(asset, resolve(asset), out);
  for (const [to, from] of Object.entries(copy))
    cpSync(path.resolve(packageDir, from), path.join(out, to), { recursive: true });
  for (const volume of volumes) mkdirSync(path.join(volumesDir, volume));
  writeFileSync(path.join(out, "package.json"), '{ "type": "module" }\n'); // or Node reads each file twice to find out
}

/** Leaves packages out of the bundle, and remembers which file each import of them means. */
function leaveOut(external: NonNullable<BundleDeclaration["external"]>, found: Map<string, string>): Plugin {
  return {
    name: "external-packages",
    resolveId(source, importer) {
      if (!Object.hasOwn(external, source)) return null;
      if (importer !== undefined) found.set(source, createRequire(importer).resolve(source));
      return { id: source, external: true };
    },
  };
}

/** An import that is not there would be noticed when the image runs. */
function failOnUnresolved(_level: string, log: { code?: string; message: string }): void {
  if (log.code === "UNRESOLVED_IMPORT") throw new Error(log.message);
}
