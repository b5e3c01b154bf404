import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { ManagedProcess, type ProcessChange, type ProcessOptions } from "./managed-process.ts";
import { identify } from "./process-identity.ts";
import { startReaper } from "./reaper.ts";

function scratch(): string {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-process-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function until(condition: () => boolean, within_ms = 5_000): Promise<void> {
  const deadline = Date.now() + within_ms;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${within_ms} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const shell = (script: string, isReady = async () => true): ProcessOptions["launch"] => {
  return async () => ({ command: "/bin/sh", args: ["-c", script], env: { PATH: process.env.PATH ?? "" }, isReady });
};

function manage(launch: ProcessOptions["launch"], options: Partial<ProcessOptions> = {}) {
  const reaper = startReaper();
  const changes: ProcessChange[] = [];
  const managed = new ManagedProcess({
    name: "thing",
    launch,
    reaper,
    restart: true,
    logFile: path.join(scratch(), "thing.log"),
    onChange: (change) => changes.push(change),
    ...options,
  });
  onTestFinished(async () => {
    await managed.stop();
    await reaper[Symbol.asyncDispose]();
  });
  return { managed, changes };
}

test("a process that is killed is started again with another pid", async () => {
  const { managed, changes } = manage(shell("exec sleep 60"));
  await managed.start();
  const first = managed.pid!;
  await managed.kill();
  await until(() => changes.filter((change) => change.kind === "ready").length === 2);
  expect(managed.pid).not.toBe(first);
  expect(changes.map((change) => change.kind)).toEqual(["started", "ready", "died", "started", "ready"]);
});

test("each death in a row waits longer", async () => {
  const { managed, changes } = manage(
    shell("exit 3", async () => false),
    { ready_ms_max: 900 },
  );
  await expect(managed.start()).rejects.toThrow(/was not ready within 0.9 s/);
  const deaths = changes.filter((change) => change.kind === "died");
  expect(deaths.map((death) => death.again_in_ms).slice(0, 3)).toEqual([200, 400, 800]);
  expect(deaths[0]!.how).toBe("exit code 3");
});

test("what it wrote last stands in the error when it does not start", async () => {
  const { managed } = manage(
    shell("echo the reason; exit 1", async () => false),
    { restart: false },
  );
  await expect(managed.start()).rejects.toThrow(/ended before it was ready[\s\S]*the reason/);
});

test("a command that does not exist is an error, not a wait", async () => {
  const launch = async () => ({ command: "/no/such/thing", args: [], env: {}, isReady: async () => false });
  const { managed } = manage(launch, { restart: false });
  await expect(managed.start()).rejects.toThrow(/ended before it was ready/);
});

test("stop asks first, and insists after the grace period, with all the process started", async () => {
  const grandchild = path.join(scratch(), "pid");
  const script = `trap '' TERM; sleep 61 & echo $! > ${grandchild}; while :; do sleep 1; done`;
  const { managed } = manage(
    shell(script, async () => existsSync(grandchild)),
    { grace_ms: 200 },
  );
  await managed.start();
  const began = performance.now();
  await managed.stop();
  expect(performance.now() - began).toBeGreaterThan(190);
  const pid = Number(readFileSync(grandchild, "utf8"));
  await until(() => isGone(pid));
});

test("a process that ends by itself on SIGTERM is not started again", async () => {
  const { managed, changes } = manage(shell("exec sleep 60"));
  await managed.start();
  await managed.stop();
  expect(managed.pid).toBeUndefined();
  expect(changes.map((change) => change.kind)).toEqual(["started", "ready"]);
  await managed.start();
  expect(managed.pid).toBeDefined();
});

test("nothing outlives a runner that is killed", async () => {
  const source = `
    import { ManagedProcess } from ${JSON.stringify(path.join(import.meta.dirname, "managed-process.ts"))};
    import { startReaper } from ${JSON.stringify(path.join(import.meta.dirname, "reaper.ts"))};
    const reaper = startReaper();
    for (const script of ["exec sleep 62", "trap '' TERM; sleep 63 & wait"]) {
      const managed = new ManagedProcess({
        name: "thing", reaper, restart: true, logFile: ${JSON.stringify(path.join(scratch(), "x.log"))},
        launch: async () => ({ command: "/bin/sh", args: ["-c", script], env: process.env, isReady: async () => true }),
      });
      await managed.start();
      console.log(managed.pid);
    }`;
  const runner = spawn(process.execPath, ["--input-type=module-typescript", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const pids: number[] = [];
  for await (const line of createInterface(runner.stdout)) if (pids.push(Number(line)) === 2) break;
  expect(pids).toHaveLength(2);
  expect(pids.some(isGone)).toBe(false);
  runner.kill("SIGKILL");
  await once(runner, "exit");
  await until(() => pids.every(isGone));
});

/** A zombie that nobody reaped yet is gone too. */
function isGone(pid: number): boolean {
  if (identify(pid) === undefined) return true;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}
