import { readFileSync } from "node:fs";
import path from "node:path";

/** What a package says of its bundle, in the section `bundle` of its package.json. */
export type BundleDeclaration = {
  /** Modules that are run, by what they are called in the bundle: `{"main": "src/main.ts"}` becomes `main.js`. */
  entries: Readonly<Record<string, string>>;
  /**
   * Packages that are not bundled but copied, with what they need at run time: those with native code, or that read files
   * beside themselves. Each names further files of its own that no trace finds, as glob patterns.
   */
  external?: Readonly<Record<string, readonly string[]>>;
  /** Files of packages, `name/path`, that are read and not imported. */
  assets?: readonly string[];
  /** Files and folders of the repository, by where they stand in the bundle. Paths are relative to the package. */
  copy?: Readonly<Record<string, string>>;
  /**
   * Folders under /volumes that the image has, empty and owned by its user: the process fills volumes of others there, and a
   * new volume takes the owner of the folder that it covers.
   */
  volumes?: readonly string[];
};

/** @throws when the package declares no bundle, or one without entries */
export function readDeclaration(packageDir: string): BundleDeclaration {
  const file = path.join(packageDir, "package.json");
  const { bundle } = JSON.parse(readFileSync(file, "utf8")) as { bundle?: Partial<BundleDeclaration> };
  if (bundle?.entries === undefined || Object.keys(bundle.entries).length === 0)
    throw new Error(`${file} declares no bundle: add "bundle": {"entries": {"main": "src/main.ts"}}`);
  return bundle as BundleDeclaration;
}
