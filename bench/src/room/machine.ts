import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Where figures were taken: they compare within one machine only. */
export type Machine = {
  cores: number;
  cpu: string;
  memory_gib: number;
  /** 1-minute load average before the measurements: what else was going on. */
  load_before: number;
  node: string;
  nats_server: string;
};

export const describeMachine = (): Machine => ({
  cores: cpus().length,
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  memory_gib: Math.round(totalmem() / 2 ** 30),
  load_before: loadavg()[0]!,
  node: process.version,
  nats_server: version("nats-server", ["--version"]),
});

const toolchain = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../.toolchain/bin");

function version(command: string, args: readonly string[]): string {
  const env = { ...process.env, PATH: `${toolchain}${path.delimiter}${process.env.PATH ?? ""}` };
  try {
    const said = execFileSync(command, args, { env, encoding: "utf8", timeout: 10_000 });
    return /\d+\.\d+\.\d+\S*/.exec(said)?.[0] ?? said.trim();
  } catch {
    return "unknown";
  }
}
