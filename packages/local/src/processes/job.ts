import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import path from "node:path";
import { lastLines } from "./log-file.ts";
import { killGroup } from "./managed-process.ts";
import type { Reaper } from "./reaper.ts";

export type Job = {
  name: string;
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  logFile: string;
  reaper: Reaper;
  timeout_ms: number;
};

/**
 * Runs a process that does one thing and exits.
 * @throws when it exits non-zero or takes too long; the message ends with its last log lines
 */
export async function runJob({ name, command, args, env, logFile, reaper, timeout_ms }: Job): Promise<void> {
  mkdirSync(path.dirname(logFile), { recursive: true });
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(command, args, { env, stdio: ["ignore", log, log], detached: true });
  closeSync(log);
  if (child.pid !== undefined) reaper.add(child.pid);
  const late = setTimeout(() => killGroup(child.pid), timeout_ms);
  const how = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
  });
  clearTimeout(late);
  if (child.pid !== undefined) reaper.remove(child.pid);
  if (how === undefined) return;
  const lines = await lastLines(logFile, 8);
  throw new Error([`${name} failed (${how}); ${logFile} ends with:`, ...lines].join("\n    "));
}
