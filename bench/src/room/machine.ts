import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";
import path from "node:path";
import type { PredictJobs } from "../processes/predict.ts";
import { repositoryRoot } from "./services.ts";
import { startWorker } from "./worker.ts";

/** Where figures were taken: they compare within one machine only. */
export type Machine = {
  cores: number;
  cpu: string;
  memory_gib: number;
  /** 1-minute load average before the measurements: what else was going on. */
  load_before: number;
  node: string;
  nats_server: string;
  /** What computes, natively or as WASM, and its version. */
  tensorflow: string;
};

export const describeMachine = async (): Promise<Machine> => ({
  cores: cpus().length,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  memory_gib: Math.round(totalmem() / 2 ** 30),
  load_before: loadavg()[0]!,
  node: process.version,
  nats_server: version("nats-server", ["--version"]),
  tensorflow: await tensorflow(),
});

/** Asked of a process of its own: TensorFlow's library would stay in this one. */
async function tensorflow(): Promise<string> {
  await using worker = await startWorker<PredictJobs>(new URL("../processes/predict.ts", import.meta.url));
  const { name, version } = await worker.call("backend", null);
  return `${name} ${version}`;
}

const toolchain = path.join(repositoryRoot, ".toolchain/bin");

function version(command: string, args: readonly string[]): string {
  const env = { ...process.env, PATH: `${toolchain}${path.delimiter}${process.env.PATH ?? ""}` };
  try {
    const said = execFileSync(command, args, { env, encoding: "utf8", timeout: 10_000 });
    return /\d+\.\d+\.\d+\S*/.exec(said)?.[0] ?? said.trim();
  } catch {
    return "unknown";
  }
}
