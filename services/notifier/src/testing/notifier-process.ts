import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { natsServer } from "@millrace/testkit";

type Server = Awaited<ReturnType<typeof natsServer>>;

/** The real notifier process. */
export type NotifierProcess = AsyncDisposable & {
  /** SIGKILL, as a crash. */
  kill(): Promise<void>;
  /** SIGTERM; answers the exit code. */
  stop(): Promise<number | null>;
  /** What it logged. */
  log(): string;
};

/** Starts `main.ts` with these rules and waits until it says that it is ready. */
export async function startNotifier(
  server: Server,
  dir: string,
  options: { rules: readonly unknown[]; env?: Record<string, string> },
): Promise<NotifierProcess> {
  const rulesFile = path.join(dir, "rules.json");
  writeFileSync(rulesFile, JSON.stringify({ rules: options.rules }));
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "../main.ts")], {
    env: {
      PATH: process.env.PATH ?? "",
      NATS_URL: server.url,
      NATS_PASSWORD: server.passwordOf("notifier"),
      RULES_FILE: rulesFile,
      ...options.env,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await ended;
    return child.exitCode;
  };
  let log = "";
  await new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the notifier ended with ${code}:\n${log}`)));
    child.stdout.on("data", (bytes: Buffer) => {
      if (log.length < 100_000) log += bytes.toString();
      if (log.includes('"msg":"ready"')) resolve();
    });
  });
  return {
    kill: async () => void (await end("SIGKILL")),
    stop: () => end("SIGTERM"),
    log: () => log,
    [Symbol.asyncDispose]: async () => void (await end("SIGKILL")),
  };
}
