import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { natsServer } from "@millrace/testkit";

type Server = Awaited<ReturnType<typeof natsServer>>;

/** The real audit process. `kill` ends it as a crash would. */
export type AuditProcess = AsyncDisposable & {
  readonly pid: number;
  /** The body of `/readyz`, or undefined while there is none. */
  readiness(): Promise<Readiness | undefined>;
  kill(): Promise<void>;
  /** SIGTERM; answers the exit code. */
  stop(): Promise<number | null>;
};
export type Readiness = { ready: boolean; checks: Record<string, { ok: boolean; detail?: string }> };

/** Starts `main.ts` against a test server and a ledger file. */
export async function startAudit(server: Server, ledgerFile: string): Promise<AuditProcess> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "../main.ts")], {
    env: {
      PATH: process.env.PATH ?? "",
      NATS_URL: server.url,
      NATS_PASSWORD: server.passwordOf("audit"),
      LEDGER_FILE: ledgerFile,
      HEALTH_PORT: "0",
      LOG_LEVEL: "debug",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await healthPort(child);
  const ended = once(child, "exit");
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended;
    return child.exitCode;
  };
  return {
    pid: child.pid!,
    async readiness() {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
      return response && ((await response.json()) as Readiness);
    },
    kill: async () => void (await end("SIGKILL")),
    stop: () => end("SIGTERM"),
    [Symbol.asyncDispose]: async () => void (await end("SIGKILL")),
  };
}

/** The port is in the log line that says that the health routes are up. */
function healthPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = "";
    child.once("exit", (code) => reject(new Error(`audit ended with ${code}:\n${log}`)));
    child.stdout!.on("data", (bytes: Buffer) => {
      if (log.length < 100_000) log += bytes.toString();
      const port = /"health_port":(\d+)/.exec(log)?.[1];
      if (port) resolve(Number(port));
    });
  });
}
