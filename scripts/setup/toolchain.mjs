// The pinned Node and pnpm, from scripts/toolchain's lockfile (integrity hashes) into `.toolchain/tools`.
// `node-linux-*` hold the binary itself; the `node` package would fetch it in an unpinned install script.
import fs from "node:fs";
import path from "node:path";
import { buildDirectory, digestOf, placeLink, readJson, writeJson } from "./files.mjs";
import { bin, inRoot, inToolchain, platform } from "./paths.mjs";
import { ask, run } from "./run.mjs";

const MANIFESTS = ["package.json", "package-lock.json"].map((name) => inRoot("scripts/toolchain", name));
const tools = inToolchain("tools");
const stamp = path.join(tools, "stamp.json");

/** Headers of the pinned Node; the native TensorFlow addon is compiled against them. */
export const nodeHeaders = path.join(tools, "node_modules", `node-${platform}`, "include", "node");
export const node = path.join(bin, "node");
export const pnpm = path.join(bin, "pnpm");
export const pinnedNode = () => fs.readFileSync(inRoot(".node-version"), "utf8").trim();

export const toolchainStep = {
  title: "Node and pnpm",
  isDone: () => readJson(stamp)?.manifests === digestOf(MANIFESTS) && fs.existsSync(node) && fs.existsSync(pnpm),
  async run() {
    await buildDirectory(tools, async (directory) => {
      for (const manifest of MANIFESTS) fs.copyFileSync(manifest, path.join(directory, path.basename(manifest)));
      await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: directory });
      const version = ask(path.join(directory, `node_modules/node-${platform}/bin/node`), ["--version"]);
      if (version !== `v${pinnedNode()}`) {
        throw new Error(
          `the pinned Node answered ${version ?? "nothing"} instead of v${pinnedNode()} (it needs glibc ≥ 2.28)`,
        );
      }
      writeJson(path.join(directory, "stamp.json"), { manifests: digestOf(MANIFESTS) });
    });
    placeLink(`../tools/node_modules/node-${platform}/bin/node`, node);
    placeLink(`../tools/node_modules/@pnpm/exe.${platform}/pnpm`, pnpm);
    return `Node ${pinnedNode()}, pnpm ${ask(pnpm, ["--version"])}`;
  },
};
