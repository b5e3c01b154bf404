import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { writeAtomically } from "./private-file.ts";
import { killGroup } from "./processes/managed-process.ts";
import { identify, isSameProcess, type ProcessIdentity } from "./processes/process-identity.ts";

/** The directory that holds all state of one Millrace, and belongs to one runner at a time. */
export type DataDir = AsyncDisposable & {
  readonly path: string;
  file(...parts: string[]): string;
  /** Remembers what runs, so that the next runner can end what this one had to leave. */
  recordProcesses(pids: readonly number[]): void;
};

/**
 * Claims a data directory, making it if need be, and ends processes that an earlier runner left behind.
 * @throws when another runner uses it
 */
export async function openDataDir(directory: string): Promise<DataDir> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const root = realpathSync(directory);
  const claim = await claimName(root);
  const recordFile = path.join(root, "processes.json");
  endLeftovers(recordFile);
  return {
    path: root,
    file: (...parts) => path.join(root, ...parts),
    recordProcesses(pids) {
      const known = pids.map(identify).filter((process) => process !== undefined);
      writeAtomically(recordFile, JSON.stringify(known));
    },
    async [Symbol.asyncDispose]() {
      rmSync(recordFile, { force: true });
      await claim[Symbol.asyncDispose]();
    },
  };
}

/**
 * The claim is a listener on an abstract Unix socket named after the directory: the kernel gives it to one process
 * and takes it back however that process ends, so there is no stale lock file to judge.
 */
async function claimName(root: string): Promise<AsyncDisposable> {
  const name = createHash("sha256").update(root).digest("hex");
  const server = createServer((socket) => socket.destroy());
  server.unref();
  try {
    server.listen(`\0millrace-${name}`);
    await once(server, "listening");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cause;
    throw new Error(`another Millrace runs on ${root}: stop it, or give this one another directory with --data`, {
      cause,
    });
  }
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function endLeftovers(recordFile: string): void {
  let left: ProcessIdentity[];
  try {
    left = JSON.parse(readFileSync(recordFile, "utf8")) as ProcessIdentity[];
  } catch {
    return; // none: the last runner cleaned up, or there was none
  }
  for (const process of left) if (isSameProcess(process)) killGroup(process.pid);
}
