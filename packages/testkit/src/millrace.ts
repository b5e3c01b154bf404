import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Run } from "@millrace/local";
import { createClient, type HttpClient } from "./client.ts";
import { type ClusterRemote, clusterRemote } from "./cluster-remote.ts";
import { eventually } from "./eventually.ts";
import type { TopicFollower } from "./topic.ts";

const RUNNER = fileURLToPath(new URL("../../local/src/main.ts", import.meta.url));
const START_MS = 60_000;
const STOP_MS = 60_000;
const BACK_MS = 30_000;
const OUTPUT_KEPT = 64 * 1024;

export type MillraceOptions = {
  demo?: boolean;
  /** On three nats-servers that replicate, instead of one. */
  cluster?: boolean;
  /** Model folders besides the repository's own, or directories of them. */
  models?: readonly string[];
  /** A notification rules file. */
  rules?: string;
  /** Settings that every process gets. */
  env?: Readonly<Record<string, string>>;
  /** A directory to keep; without it, a new one that is removed at the end. */
  dataDir?: string;
};

/** A real Millrace in processes of its own, on free ports. Close it with `await using`. */
export type TestMillrace = AsyncDisposable &
  HttpClient & {
    /** `run.json` as it is now. */
    readonly run: Run;
    readonly dataDir: string;
    /** The runner's own process. */
    readonly pid: number;
    /** @throws when it runs on one nats-server */
    readonly cluster: ClusterRemote;
    /** What the runner wrote to the terminal so far. */
    output(): string;
    /** SIGKILL to a process; answers its new pid once the runner has started it again. */
    kill(name: string): Promise<number>;
    /** Receives everything from now on from a subscription, with Azure's SDK. */
    follow(subscription?: string): Promise<TopicFollower>;
    /** Ctrl-C, or another signal, to the runner. @returns its exit code */
    stop(signal?: NodeJS.Signals): Promise<number | null>;
  };

/** Starts what `npm start` starts, and waits for `run.json`. */
export async function startMillrace(options: MillraceOptions = {}): Promise<TestMillrace> {
  const dataDir = options.dataDir ?? (await mkdtemp(path.join(tmpdir(), "millrace-run-")));
  const args = ["--data", dataDir, "--http-port", "0", "--nats-port", "0", "--amqp-port", "0"];
  if (!options.demo) args.push("--no-demo");
  if (options.cluster) args.push("--cluster");
  for (const folder of options.models ?? []) args.push("--models", folder);
  if (options.rules !== undefined) args.push("--rules", options.rules);
  const child = spawn(process.execPath, [RUNNER, ...args], {
    // It stops when this process is gone, however it went: a test or a chaos run that is killed leaves nothing behind.
    env: { ...process.env, ...options.env, MILLRACE_WRAPPER_PID: String(process.pid) },
    stdio: ["ignore", "pipe", "pipe", ...(options.cluster ? ["ipc" as const] : [])],
  });
  const remote = options.cluster ? clusterRemote(child) : undefined;
  let output = "";
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT);
    });
  }
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const readRun = () => JSON.parse(readFileSync(path.join(dataDir, "run.json"), "utf8")) as Run;
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  const stop = async (signal: NodeJS.Signals = "SIGINT") => {
    if (!isOver()) child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    const code = await exited;
    clearTimeout(late);
    return code;
  };
  const close = async () => {
    await stop();
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
  };

  try {
    await eventually(
      () => {
        if (!isOver()) readRun();
      },
      { within_ms: START_MS, every_ms: 25 },
    );
    if (isOver()) throw new Error(`the runner ended with ${child.exitCode ?? child.signalCode}`);
  } catch (cause) {
    await close();
    throw new Error(`Millrace did not start: ${(cause as Error).message}\n${output}`, { cause });
  }

  return {
    ...createClient(readRun),
    get run() {
      return readRun();
    },
    dataDir,
    pid: child.pid!,
    get cluster() {
      if (remote === undefined)
        throw new Error("this Millrace runs on one nats-server: start it with { cluster: true }");
      return remote;
    },
    output: () => output,
    async kill(name) {
      const pid = readRun().processes[name];
      if (pid === undefined) throw new Error(`no process "${name}" is running`);
      process.kill(pid, "SIGKILL");
      return await eventually(
        () => {
          const now = readRun().processes[name];
          if (now === undefined || now === pid) throw new Error(`${name} is not back`);
          return now;
        },
        { within_ms: BACK_MS },
      );
    },
    async follow(subscription = readRun().serviceBus.subscription) {
      const { followTopic } = await import("./topic.ts"); // Azure's SDK takes a second to load; few tests need it
      return await followTopic({ ...readRun().serviceBus, subscription });
    },
    stop,
    [Symbol.asyncDispose]: close,
  };
}
