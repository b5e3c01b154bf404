// The workspace's dependencies, exactly as pnpm-lock.yaml has them.
import fs from "node:fs";
import path from "node:path";
import { digestOf, readJson, writeJson } from "./files.mjs";
import { bin, inRoot, inToolchain, root } from "./paths.mjs";
import { run } from "./run.mjs";
import { pnpm } from "./toolchain.mjs";

const stamp = inToolchain("workspace.json");

export const workspaceStep = {
  title: "Workspace",
  isDone: () =>
    fs.existsSync(inRoot("node_modules/.modules.yaml")) && readJson(stamp)?.manifests === digestOf(manifests()),
  async run() {
    const env = { CI: "true", PATH: `${bin}${path.delimiter}${process.env.PATH}` };
    await run(pnpm, ["install", "--frozen-lockfile", "--reporter=append-only"], { cwd: root, env });
    const files = manifests();
    writeJson(stamp, { manifests: digestOf(files) });
    return `${files.length - 2} packages of ours and what they need`;
  },
};

/** Everything an install depends on: the lockfile, the workspace file and each package.json they cover. */
function manifests() {
  const workspace = inRoot("pnpm-workspace.yaml");
  const folders = workspaceGlobs(fs.readFileSync(workspace, "utf8")).flatMap((glob) => {
    if (!glob.endsWith("/*")) return [glob];
    const parent = glob.slice(0, -2);
    return fs.existsSync(inRoot(parent)) ? fs.readdirSync(inRoot(parent)).map((name) => path.join(parent, name)) : [];
  });
  const packages = [".", ...folders]
    .map((folder) => inRoot(folder, "package.json"))
    .filter((file) => fs.existsSync(file));
  return [inRoot("pnpm-lock.yaml"), workspace, ...packages];
}

/** The `packages:` list of a pnpm-workspace.yaml; no YAML parser is installed when this runs. */
export function workspaceGlobs(yaml) {
  const lines = yaml.split("\n");
  const start = lines.findIndex((line) => /^packages:\s*$/.test(line));
  const globs = [];
  for (const line of start < 0 ? [] : lines.slice(start + 1)) {
    const item = /^\s+-\s+["']?([^"'#\s]+)/.exec(line)?.[1];
    if (item !== undefined) globs.push(item);
    else if (/^\S/.test(line)) break;
  }
  return globs;
}
