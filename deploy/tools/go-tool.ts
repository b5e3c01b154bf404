import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

/** Go packages of the programs that are called, at the versions they were tried in. */
const TOOLS = {
  helm: "helm.sh/helm/v3/cmd/helm@v3.22.0",
  kubeconform: "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
  promtool: "github.com/prometheus/prometheus/cmd/promtool@v0.316.0",
} as const;
export type ToolName = keyof typeof TOOLS;

const BIN = path.resolve(import.meta.dirname, "../../.toolchain/bin");
const BUILD_MS = 1_200_000;

/** Where a program is, on PATH or in .toolchain. @returns undefined when it is in neither */
export function onPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(path.delimiter), BIN];
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
}

/**
 * Where a program is: on PATH, in .toolchain, or built there.
 * @throws when it is nowhere and cannot be built
 */
export function goTool(name: ToolName): string {
  const found = onPath(name);
  if (found) return found;
  console.log(`${name} is not on PATH: building ${TOOLS[name]}, some minutes, once`);
  const { status, error } = spawnSync("go", ["install", TOOLS[name]], {
    env: { ...process.env, GOBIN: BIN },
    stdio: ["ignore", "inherit", "inherit"],
    timeout: BUILD_MS,
  });
  if (!error && status === 0) return path.join(BIN, name);
  throw new Error(
    `${name} is missing and could not be built (${error?.message ?? `go ended with ${status}`}). Put ${name} on PATH, or Go.`,
  );
}
