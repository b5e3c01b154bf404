import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { eventually } from "@millrace/testkit";

type Server = { url: string; passwordOf(user: string): string };

/** A real service process. `kill` ends it as a crash would. */
export type ServiceProcess = AsyncDisposable & {
  readonly pid: number;
  log(): string;
  /** The body of `/readyz`. */
  readiness(): Promise<{ ready: boolean; checks: Record<string, { ok: boolean; detail?: string }> }>;
  metrics(): Promise<string>;
  kill(): Promise<void>;
  /** SIGTERM; answers the exit code. */
  stop(): Promise<number | null>;
};

/** Starts the keeper and waits until it is ready and has looked at everything once. @throws with its log when it ends instead */
export const startKeeper = (server: Server, env: Record<string, string> = {}): Promise<ServiceProcess> =>
  start("keeper", server, { NATS_SYSTEM_PASSWORD: server.passwordOf("system"), ...env });

/** The audit service, which the keeper asks for the ledger. A process beside us, like everywhere. */
export const startAudit = (server: Server, ledgerFile: string): Promise<ServiceProcess> =>
  start("audit", server, { LEDGER_FILE: ledgerFile });

async function start(name: "keeper" | "audit", server: Server, env: Record<string, string>): Promise<ServiceProcess> {
  const entry = path.join(import.meta.dirname, "../../..", name, "src/main.ts");
  const child = spawn(process.execPath, [entry], {
    env: {
      PATH: process.env.PATH ?? "",
      NATS_URL: server.url,
      NATS_PASSWORD: server.passwordOf(name),
      LOG_LEVEL: "debug",
      ...env,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-LOG_KEPT);
  });
  const ended = once(child, "exit");
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended;
    return child.exitCode;
  };
  const port = await ready(child, name, () => log);
  if (name === "keeper")
    await eventually(
      () => {
        if (!log.includes("sweeper passed") || child.exitCode !== null)
          throw new Error(`no pass of the sweeper:\n${log}`);
      },
      { within_ms: 60_000 },
    );
  const get = (route: string) => fetch(`http://127.0.0.1:${port}${route}`);
  return {
    pid: child.pid!,
    log: () => log,
    readiness: async () => (await (await get("/readyz")).json()) as Awaited<ReturnType<ServiceProcess["readiness"]>>,
    metrics: async () => await (await get("/metrics")).text(),
    kill: async () => void (await end("SIGKILL")),
    stop: () => end("SIGTERM"),
    [Symbol.asyncDispose]: async () => void (await end("SIGKILL")),
  };
}

const LOG_KEPT = 1_000_000;

/** Its health port, once it says that it is ready. */
function ready(child: ChildProcess, name: string, log: () => string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code}:\n${log()}`)));
    child.stdout!.on("data", () => {
      const port = /"health_port":(\d+)/.exec(log())?.[1];
      if (port && log().includes('"msg":"ready"')) resolve(Number(port));
    });
  });
}
