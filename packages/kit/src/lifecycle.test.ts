import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, expect, it } from "vitest";

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Runs a service whose start function is `body`, in a process of its own; its log lines, parsed. */
function service(body: string, { graceMs = 2_000, env = {} }: { graceMs?: number; env?: Record<string, string> } = {}) {
  const program = `
    import { HealthSettings, runService, ServiceSettings } from ${JSON.stringify(new URL("./index.ts", import.meta.url).href)};
    import Type from ${JSON.stringify(import.meta.resolve("typebox"))};
    const Config = Type.Object({ ...ServiceSettings, ...HealthSettings, NAME: Type.String({ description: "of a thing" }) });
    await runService("svc", Config, async (scope) => { const { log } = scope; ${body} });
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH, LOG_LEVEL: "debug", GRACE_MS: String(graceMs), NAME: "thing", ...env },
  });
  children.push(child);
  const lines: Record<string, unknown>[] = [];
  const seen = new Map<string, () => void>();
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const entry = JSON.parse(line);
    lines.push(entry);
    seen.get(entry.msg)?.();
  });
  const said = (msg: string) =>
    new Promise<void>((resolve) => (lines.some((line) => line.msg === msg) ? resolve() : seen.set(msg, resolve)));
  return { child, lines, said, exit: once(child, "exit") };
}

it("is ready after start, and closes what it opened in reverse order", async () => {
  const { child, lines, said, exit } = service(`
    scope.defer(() => log.info("connection closed"));
    scope.defer(() => log.info("consumption stopped"));
    setInterval(() => {}, 1000);
  `);
  await said("ready");
  const port = lines.find((line) => line.health_port)?.health_port;
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  expect(answer.status).toBe(200);
  expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toContain('service="svc"');
  child.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
  const order = lines.map((line) => line.msg).filter((msg) => String(msg).match(/closed|stopped/));
  expect(order).toEqual(["consumption stopped", "connection closed", "stopped"]);
});

it("is not ready while a check fails, and says which", async () => {
  const { lines, said } = service(`scope.health.check("nats", () => ({ ok: false, detail: "no server" }));`);
  await said("ready");
  const port = lines.find((line) => line.health_port)?.health_port;
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ checks: { nats: { ok: false, detail: "no server" } } });
});

it("exits with 1 when the start fails, having closed what was open", async () => {
  const { lines, exit } = service(`scope.defer(() => log.info("connection closed")); throw new Error("no models");`);
  expect(await exit).toEqual([1, null]);
  expect(lines.map((line) => line.msg)).toContain("connection closed");
});

it("exits with 1 when closing takes longer than the grace period", async () => {
  const { child, said, exit } = service(`scope.defer(() => new Promise(() => setInterval(() => {}, 1000)));`, {
    graceMs: 200,
  });
  await said("ready");
  child.kill("SIGTERM");
  expect(await exit).toEqual([1, null]);
});

it("stops when nobody reads its log any more", async () => {
  const { child, said, exit } = service(`setInterval(() => log.info("tick"), 5);`);
  await said("ready");
  child.stdout!.destroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  child.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
});

it("names every wrong setting in one line and exits with 1", async () => {
  const { lines, exit } = service("", { env: { NAME: "", HEALTH_PORT: "eighty" } });
  expect(await exit).toEqual([1, null]);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({
    level: "fatal",
    mistakes: [expect.stringMatching(/^HEALTH_PORT/), expect.stringMatching(/^NAME: .*of a thing/)],
  });
});
