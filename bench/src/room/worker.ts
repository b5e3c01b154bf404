import { type ChildProcess, fork } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Sides of a comparison run in processes of their own: they share no heap, no compiled code and no event loop with
 * each other or with what measures them, and each can be profiled by itself.
 */

/** What a worker process offers, by name. Arguments and results cross as structured clones. */
export type Jobs = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

export type Worker<J extends Jobs> = AsyncDisposable & {
  readonly pid: number;
  /** @throws what the job threw, or that the process ended */
  call<Name extends keyof J & string>(name: Name, argument: Parameters<J[Name]>[0]): ReturnType<J[Name]>;
};

type Call = { id: number; name: string; argument: unknown };
type Answer = { id: number; value: unknown } | { id: number; error: string };

/** Directory for the CPU profiles of workers and of services on a stage; none are taken when it is not set. */
const PROFILE_DIR = "BENCH_PROFILE_DIR";
const STOP_MS = 5_000;

/** Starts a module that ends with {@link serve}. It ends when it is disposed, and when this process ends. */
export async function startWorker<J extends Jobs>(
  module: URL,
  options: { env?: Readonly<Record<string, string>> } = {},
): Promise<Worker<J>> {
  const child = fork(fileURLToPath(module), {
    serialization: "advanced",
    execArgv: profiling(),
    env: { ...process.env, ...options.env },
  });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const ready = Promise.withResolvers<void>();
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.on("message", (message: Answer | "ready") => {
    if (message === "ready") return ready.resolve();
    const call = waiting.get(message.id);
    waiting.delete(message.id);
    if ("error" in message) call?.reject(new Error(message.error));
    else call?.resolve(message.value);
  });
  child.once("exit", (code, signal) => {
    const error = new Error(`${module.pathname} ended (${signal ?? code})`);
    ready.reject(error);
    for (const call of waiting.values()) call.reject(error);
  });
  await ready.promise;
  let next = 0;
  return {
    pid: child.pid!,
    call: ((name: string, argument: unknown) => {
      const call = Promise.withResolvers<unknown>();
      waiting.set(next, call);
      child.send({ id: next++, name, argument } satisfies Call);
      return call.promise;
    }) as Worker<J>["call"],
    [Symbol.asyncDispose]: () => stop(child, ended),
  };
}

/** Answers calls until the parent goes away; then closes what was opened. The last thing a worker's module does. */
export function serve(jobs: Jobs, close: () => Promise<void> = async () => {}): void {
  process.on("message", ({ id, name, argument }: Call) => {
    void (async () => {
      try {
        process.send!({ id, value: await jobs[name]!(argument as never) } satisfies Answer);
      } catch (cause) {
        process.send!({ id, error: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
      }
    })();
  });
  process.once("disconnect", () => void close().finally(() => process.exit(0)));
  process.send!("ready");
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(timer);
}

/** Node options that profile a process until it ends, when that was asked for. */
export function profiling(): string[] {
  const directory = process.env[PROFILE_DIR];
  if (!directory) return [];
  mkdirSync(directory, { recursive: true });
  return ["--cpu-prof", `--cpu-prof-dir=${directory}`];
}
