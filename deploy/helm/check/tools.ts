import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./files.ts";

/** Go packages of the programs that are called, at the versions they were tried in. */
const TOOLS = {
  helm: "helm.sh/helm/v3/cmd/helm@v3.22.0",
  kubeconform: "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
  promtool: "github.com/prometheus/prometheus/cmd/promtool@v0.316.0",
} as const;
export type ToolName = keyof typeof TOOLS;

const BIN = path.join(ROOT, ".toolchain/bin");
const BUILD_MS = 1_200_000;
const RUN_MS = 120_000;

/**
 * Where a program is: on PATH, in .toolchain, or built there.
 * @throws when it is nowhere and cannot be built
 */
export function tool(name: ToolName): string {
  const folders = [...(process.env.PATH ?? "").split(path.delimiter), BIN];
  const found = folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
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

export type Ended = { ok: boolean; out: string; said: string };

/** Runs a program to its end. `said`: what it had to say, whichever way. */
export function run(file: string, args: readonly string[], input?: string): Ended {
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    encoding: "utf8",
    timeout: RUN_MS,
    maxBuffer: 1 << 28,
    ...(input === undefined ? {} : { input }),
  });
  if (error) return { ok: false, out: "", said: error.message };
  return { ok: status === 0, out: stdout, said: `${stdout}${stderr}`.trim() };
}
