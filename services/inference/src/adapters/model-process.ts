/** One model process, from its start to its end. Knows nothing of queues and replacements; `ModelRunner` does. */
import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { FromChild, ToChild } from "../runner/protocol.ts";

export interface ModelProcessOptions {
  /** The child's module: `runner/child.ts`, or what a bundler made of it. */
  readonly module: URL;
  readonly folder: string;
  readonly backend?: "native" | "wasm";
  /** Time from start to ready. */
  readonly start_timeout_ms: number;
  readonly onLog: (line: string) => void;
}

export type Ready = Extract<FromChild, { kind: "ready" }>;
export type Reply = Extract<FromChild, { kind: "result" | "failure" }>;

export interface ModelProcess {
  readonly pid: number | undefined;
  readonly ready: Ready;
  send(message: ToChild): void;
  onReply: (reply: Reply) => void;
  /** Resolves once the process is gone and everything it said was heard. */
  readonly ended: Promise<{ readonly how: string }>;
  kill(): void;
}

/**
 * Starts a process and waits until its model is warm.
 * @throws Error with the reason the model was refused, or how the process ended, or that it took too long.
 */
export async function startModelProcess(options: ModelProcessOptions): Promise<ModelProcess> {
  const child = fork(fileURLToPath(options.module), [options.folder, ...(options.backend ? [options.backend] : [])], {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: inheritedEnvironment(),
  });
  createInterface({ input: child.stderr! }).on("line", options.onLog);
  const ended = end(child);
  const kill = () => void child.kill("SIGKILL");
  try {
    const ready = await firstWord(child, ended, options.start_timeout_ms);
    const started: ModelProcess = {
      pid: child.pid,
      ready,
      send: (message) => void child.send(message, () => {}), // a failed send is followed by the end of the process
      onReply: () => {},
      ended,
      kill,
    };
    child.on("message", (message: FromChild) => {
      if (message.kind === "result" || message.kind === "failure") started.onReply(message);
    });
    return started;
  } catch (cause) {
    kill();
    throw cause;
  }
}

async function firstWord(child: ChildProcess, ended: ModelProcess["ended"], timeout_ms: number): Promise<Ready> {
  const { promise, resolve, reject } = Promise.withResolvers<Ready>();
  child.once("message", (message: FromChild) => {
    if (message.kind === "ready") resolve(message);
    else reject(new Error(message.kind === "refused" ? message.reason : `unexpected ${message.kind}`));
  });
  void ended.then(({ how }) => reject(new Error(`the model process ended before it was ready (${how})`)));
  const timer = setTimeout(
    () => reject(new Error(`the model process was not ready within ${timeout_ms} ms`)),
    timeout_ms,
  );
  return await promise.finally(() => clearTimeout(timer));
}

/** `exit` may come before the last messages are read; `disconnect` comes after them. Both are waited for. */
function end(child: ChildProcess): ModelProcess["ended"] {
  const { promise: exited, resolve: onExit } = Promise.withResolvers<string>();
  const { promise: disconnected, resolve: onDisconnect } = Promise.withResolvers<void>();
  child.once("disconnect", onDisconnect);
  child.once("exit", (code, signal) => onExit(signal ?? `exit code ${code}`));
  child.once("error", (error) => {
    onExit(error.message);
    if (!child.connected) onDisconnect();
  });
  return Promise.all([exited, disconnected]).then(([how]) => ({ how }));
}

/** What TensorFlow needs, and no secret of the service: the process runs model code. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const wanted = /^(PATH|HOME|TMPDIR|LANG|LD_LIBRARY_PATH|NODE_OPTIONS|TF_.*|OMP_.*)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => wanted.test(name)));
}
