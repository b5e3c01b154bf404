import { spawnSync } from "node:child_process";

const RUN_MS = 120_000;

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
