import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";

export type CommandOptions = {
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  /** Everything it prints goes there as well. */
  logFile?: string;
  timeout_ms?: number;
  /** What it reads. */
  input?: string;
};

const TIMEOUT_MS = 60_000;
const SHOWN_LINES = 15;

/**
 * Runs a program to its end.
 * @returns its standard output
 * @throws when it cannot be started, takes too long or ends non-zero; the message ends with its last lines
 */
export async function command(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { cwd, env, logFile, timeout_ms = TIMEOUT_MS, input } = options;
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, timeout: timeout_ms, killSignal: "SIGKILL" });
  const log = logFile === undefined ? undefined : createWriteStream(logFile, { flags: "a" });
  log?.write(`\n$ ${file} ${args.join(" ")}\n`);
  const printed = { out: "", all: "" };
  child.stdin.on("error", () => {}); // it may end before it has read everything
  child.stdin.end(input ?? "");
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      if (stream === child.stdout) printed.out += text;
      printed.all = (printed.all + text).slice(-64 * 1024);
      log?.write(text);
    });
  }
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) =>
      resolve(
        code === 0 ? undefined : signal === "SIGKILL" ? `no end within ${timeout_ms} ms` : `exit ${code ?? signal}`,
      ),
    );
  });
  log?.end();
  if (failure === undefined) return printed.out;
  const last = printed.all.trim().split("\n").slice(-SHOWN_LINES).join("\n");
  throw new Error(`${file} ${args.slice(0, 4).join(" ")}: ${failure}\n${last}`);
}

/** The trimmed output of a quick command, or undefined when it is absent or fails. */
export async function ask(file: string, args: readonly string[], options: CommandOptions = {}) {
  return await command(file, args, { timeout_ms: 20_000, ...options }).then(
    (text) => text.trim(),
    () => undefined,
  );
}
