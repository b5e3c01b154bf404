import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually, startMillrace } from "@millrace/testkit";
import { expect, test } from "vitest";
import { MODEL, riskRequests } from "./risk-requests.ts";

test("run.json says where everything is, is private and current, and goes with the runner", async () => {
  await using millrace = await startMillrace();
  const file = path.join(millrace.dataDir, "run.json");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { processes, ...run } = millrace.run;
  expect(Object.keys(processes).sort()).toEqual(
    ["audit", "azure", "bridge", "inference", "ingest", "keeper", "nats-server", "notifier", "servicebus"].sort(),
  );
  expect(run).toMatchObject({
    http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    nats: expect.stringMatching(/^nats:\/\/operator:[^@]+@127\.0\.0\.1:\d+$/),
    serviceBus: {
      topic: "predictions",
      subscription: "enterprise",
      connectionString: expect.stringContaining("UseDevelopmentEmulator=true"),
    },
    tenant: "demo",
    project: "plant-a",
    models: [MODEL],
  });

  const pid = await millrace.kill("inference");
  expect(pid).not.toBe(processes.inference);
  await eventually(async () => expect(millrace.output()).toMatch(/inference .*ready again/), { within_ms: 30_000 });

  expect(await millrace.stop("SIGINT")).toBe(0);
  expect(existsSync(file)).toBe(false);
  expect(Object.values({ ...processes, inference: pid }).filter(isRunning)).toEqual([]);
});

test("nothing outlives a runner that is killed, and the next one takes over its data", async () => {
  await using killed = await startMillrace();
  const [request] = riskRequests("survives", 1);
  const { id } = await killed.submit(request!);
  await killed.waitForOutcome(MODEL, id);
  const pids = Object.values(killed.run.processes);
  expect(pids.filter(isRunning)).toHaveLength(pids.length);
  await killed.stop("SIGKILL");
  await eventually(() => expect(pids.filter(isRunning)).toEqual([]));

  await using next = await startMillrace({ dataDir: killed.dataDir });
  expect((await next.waitForOutcome(MODEL, id)).state).toBe("done");
});

test("the demonstration shows all four ends and where to go on, without the token on the terminal", async () => {
  await using millrace = await startMillrace({ demo: true });
  await eventually(() => expect(millrace.output()).toContain("Ctrl-C stops everything"), { within_ms: 60_000 });
  const output = millrace.output();
  for (const end of ["prediction", "notification", "ledger", "Service Bus"]) {
    expect(output).toMatch(new RegExp(`^  ${end} +(machine-\\d|entry|message|webhook)`, "m"));
  }
  expect(output).not.toContain(millrace.run.token);
  expect(output).not.toContain("\x1b[");
  expect(Math.max(...output.split("\n").map((line) => line.length))).toBeLessThanOrEqual(140);
  await sleep(100);
  expect(await millrace.stop("SIGTERM")).toBe(0);
});

/** A zombie is over, even if nobody has looked yet. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
  } catch {
    return false;
  }
}
