import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync } from "node:fs";
import path from "node:path";
import { eventually } from "@millrace/testkit";
import { ask } from "./command.ts";

/** A container engine that answers. */
export type Engine = AsyncDisposable & {
  /** What the docker client needs to find it. */
  readonly env: Readonly<Record<string, string>>;
  readonly version: string;
  /** Whether this process started it, and ends it. */
  readonly own: boolean;
};

const START_MS = 30_000;

/** The engine that the docker client of this machine finds. @returns undefined when there is none */
export async function findEngine(): Promise<Engine | undefined> {
  const version = await versionOf({});
  return version === undefined ? undefined : { env: {}, version, own: false, async [Symbol.asyncDispose]() {} };
}

/**
 * Starts an engine that shares nothing with another of this machine: its images and containers are in `directory`,
 * where they stay for the next time.
 * @throws when there is no `dockerd`, it may not run (it wants root), or it does not answer within 30 s
 */
export async function startEngine(directory: string): Promise<Engine> {
  if (process.getuid?.() !== 0)
    throw new Error("an engine of our own needs root: start one yourself and leave --own-engine away");
  mkdirSync(directory, { recursive: true });
  const place = (name: string) => path.join(directory, name);
  const log = openSync(place("dockerd.log"), "a");
  const child = spawn(
    "dockerd",
    [
      ...["--data-root", place("data"), "--exec-root", place("exec"), "--pidfile", place("pid")],
      ...["--host", `unix://${place("docker.sock")}`],
    ],
    { stdio: ["ignore", log, log] },
  );
  const failed = once(child, "error").then(([cause]) => {
    throw new Error(`dockerd cannot be started (${(cause as Error).message}): install a container engine first`);
  });
  const env = { DOCKER_HOST: `unix://${place("docker.sock")}` };
  try {
    const version = await Promise.race([failed, eventually(() => answer(env, child), { within_ms: START_MS })]);
    return { env, version, own: true, [Symbol.asyncDispose]: () => stop(child) };
  } catch (cause) {
    await stop(child);
    throw new Error(`${(cause as Error).message}; see ${place("dockerd.log")}`, { cause });
  }
}

async function answer(env: Engine["env"], child: ChildProcess): Promise<string> {
  const version = await versionOf(env);
  if (version === undefined) throw new Error(`dockerd ${child.exitCode === null ? "does not answer yet" : "ended"}`);
  return version;
}

const versionOf = (env: Engine["env"]) => ask("docker", ["version", "--format", "{{.Server.Version}}"], { env });

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM"); // it stops its containers first
  await ended;
}
