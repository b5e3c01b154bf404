import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually, type Ingest, startIngest, TOKEN } from "./testing/ingest.ts";

/** The service as a process, as it is deployed. */
let ingest: Ingest;
beforeAll(async () => {
  ingest = await startIngest();
}, 30_000);
afterAll(() => ingest?.[Symbol.asyncDispose]());

function start(env: Record<string, string>): { child: ChildProcess; lines: string[] } & AsyncDisposable {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const child = spawn(process.execPath, [main], { env: { PATH: process.env.PATH ?? "", ...env } });
  const lines: string[] = [];
  child.stdout.on("data", (bytes) => lines.push(...String(bytes).trim().split("\n")));
  return {
    child,
    lines,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

it("answers what is under way when it is told to stop, and ends with 0", async () => {
  await using service = start({
    HTTP_PORT: "0",
    TOKENS_FILE: ingest.tokensFile,
    NATS_URL: ingest.nats.url,
    NATS_PASSWORD: ingest.nats.passwordOf("ingest"),
  });
  const url = await eventually("the service listens", () => {
    const line = service.lines.find((text) => text.includes('"listening"'));
    return line === undefined ? undefined : (JSON.parse(line) as { address: string }).address;
  });
  await eventually("it is ready", async () => ((await fetch(`${url}/readyz`)).status === 200 ? true : undefined));
  const waiting = fetch(`${url}/v1/acme/plant/models/sum/requests`, {
    method: "POST",
    body: JSON.stringify({ inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data: [1, 2, 3] }] }),
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json", prefer: "wait=60" },
  });
  await eventually("the request is stored", async () => {
    const { messages } = (await ingest.operator.jsm.streams.info("REQUESTS_TENSOR")).state;
    return messages > 0 ? true : undefined;
  });
  service.child.kill("SIGTERM");
  expect((await waiting).status).toBe(202);
  const [code] = await once(service.child, "exit");
  expect(code).toBe(0);
  const access = service.lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "http");
  expect(access).toMatchObject([{ operation: "submitRequest", status: 202, principal: "alice" }]);
}, 30_000);

it("names every mistake in its settings, and ends with 1", async () => {
  await using service = start({ TOKENS_FILE: "/nowhere", NATS_URL: "http://x", HTTP_PORT: "high" });
  const [code] = await once(service.child, "exit");
  expect(code).toBe(1);
  const said = service.lines.join("\n");
  for (const name of ["HTTP_PORT", "NATS_URL", "NATS_PASSWORD"]) expect(said).toContain(name);
}, 30_000);
