import { execFile, spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SOURCE = fileURLToPath(new URL("../../power-loss", import.meta.url));
const BUILD_TIMEOUT_MS = 300_000;
const STOP_MS = 5_000;

/** What makes a change of a directory durable: see the README of e2e/power-loss. */
export type DirectoryRule = "ordered" | "strict";

/** What was not durable when the power went. */
export type Loss = {
  files: { path: string; bytes: number }[];
  /** `+path` of names that the disk did not know yet, `-path` of removed ones that it still knew. */
  entries: string[];
};

/** A mounted file system that forgets what was not synced. */
export type PowerLossDisk = AsyncDisposable & {
  /** Kills the process and takes the power away at the same moment. Reads and writes fail until `restore`. */
  cut(pid: number): Promise<Loss>;
  /** Power is back: what the disk still holds is mounted. The process that used it must have ended. */
  restore(): Promise<void>;
  /** Makes everything durable, as the kernel does by itself with what is half a minute old. */
  save(): Promise<void>;
};

/** Why there can be no such disk here, with what would help; undefined when there can. */
export function whyNoPowerLoss(): string | undefined {
  if (process.platform !== "linux") return "it needs Linux (FUSE)";
  if (process.getuid?.() !== 0) return "it needs root, to mount a file system";
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
  } catch {
    return "it needs /dev/fuse (in a container: --device /dev/fuse --cap-add SYS_ADMIN)";
  }
  if (spawnSync("go", ["version"]).status !== 0) return "it needs Go on PATH, to build the file system";
  return undefined;
}

/**
 * Builds the file system and mounts it. It ends with this process, however that goes.
 * @param options `at` is an existing directory; `seed` decides what of the unsynced changes survives
 */
export async function mountPowerLossDisk(options: {
  at: string;
  seed: number;
  directories: DirectoryRule;
}): Promise<PowerLossDisk> {
  const { at, seed, directories } = options;
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), "millrace-power-loss-"));
  const removeBinary = () => rm(directory, { recursive: true, force: true });
  stack.defer(removeBinary);
  const binary = path.join(directory, "power-loss");
  await promisify(execFile)("go", ["build", "-mod=readonly", "-o", binary, "."], {
    cwd: SOURCE,
    timeout: BUILD_TIMEOUT_MS,
    env: { ...process.env, CGO_ENABLED: "0" },
  });

  // It unmounts and ends when its standard input does, which it does with us.
  const child = spawn(binary, ["-mount", at, "-seed", String(seed), "-dirs", directories], {
    stdio: ["pipe", "pipe", "pipe"],
    detached: true, // Ctrl-C must not take the disk from under a server that is still stopping
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-4_096);
  });
  child.stdin.on("error", () => {}); // it ended: the next answer says so
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  stack.defer(async () => {
    child.stdin.end();
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(late);
  });

  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await answers.next();
    if (done) throw new Error(`the power-loss disk ended: ${complaint}`);
    const answer = JSON.parse(value) as { error?: string };
    if (answer.error !== undefined) throw new Error(`the power-loss disk: ${answer.error}`);
    return answer;
  };
  const ask = (command: string): Promise<unknown> => {
    child.stdin.write(`${command}\n`);
    return next();
  };
  await next(); // mounted
  await removeBinary(); // it runs without its file, which so does not outlive a run that is killed

  const owned = stack.move();
  return {
    cut: async (pid) => (await ask(`cut ${pid}`)) as Loss,
    restore: async () => void (await ask("restore")),
    save: async () => void (await ask("save")),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
