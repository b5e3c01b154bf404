import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../../packages/servicebus/src/main.ts", import.meta.url));

/** The local Service Bus as its command runs, with one queue, on disk. */
export async function startServiceBusAlone(queue: Readonly<Record<string, unknown>>) {
  const directory = await mkdtemp(path.join(tmpdir(), "bench-servicebus-"));
  const config = path.join(directory, "Config.json");
  const Queues = [{ Name: "bench", Properties: queue }];
  await writeFile(config, JSON.stringify({ UserConfig: { Namespaces: [{ Queues }] } }));
  const key = randomBytes(32).toString("base64");
  const began = performance.now();
  const args = ["--config", config, "--port", "0", "--data-dir", path.join(directory, "data")];
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, SHARED_ACCESS_KEY: key },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(child.stdout!), "line")) as [string];
  const { port } = JSON.parse(line) as { port: number };
  return {
    pid: child.pid!,
    /** From `spawn` until it listens. */
    startMs: performance.now() - began,
    connectionString: `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${key};UseDevelopmentEmulator=true`,
    async [Symbol.asyncDispose]() {
      child.kill();
      if (child.exitCode === null) await once(child, "exit");
      await rm(directory, { recursive: true, force: true });
    },
  };
}
