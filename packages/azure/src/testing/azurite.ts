import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

const KEY = "a2V5IG9mIGEgdGVzdA==";

/** Microsoft's stand-in for Blob Storage as a process of its own, with what it holds in memory. For tests only. */
export async function startAzurite(port?: number) {
  const stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), "azurite-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const at = port ?? (await freePort());
  const require = createRequire(import.meta.url);
  const script = require.resolve("azurite/dist/src/blob/main.js");
  const options = ["--blobHost", "127.0.0.1", "--blobPort", String(at), "--inMemoryPersistence"];
  const child = spawn(
    process.execPath,
    [script, ...options, "--skipApiVersionCheck", "--disableTelemetry", "--silent"],
    {
      env: { PATH: process.env.PATH ?? "", AZURITE_ACCOUNTS: `test:${KEY}` },
      stdio: ["ignore", "ignore", "inherit"],
      cwd: directory,
    },
  );
  stack.defer(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  });
  try {
    for (let tries = 1; !(await answers(at)); tries++) {
      if (child.exitCode !== null) throw new Error(`Azurite ended with ${child.exitCode}`);
      if (tries >= TRIES_MAX) throw new Error("Azurite was not ready within a minute");
      await sleep(100);
    }
  } catch (cause) {
    await stack.disposeAsync();
    throw cause;
  }
  return {
    port: at,
    connectionString: `DefaultEndpointsProtocol=http;AccountName=test;AccountKey=${KEY};BlobEndpoint=http://127.0.0.1:${at}/test;`,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const TRIES_MAX = 600;
const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
