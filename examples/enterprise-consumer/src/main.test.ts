import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { ServiceBusClient } from "@azure/service-bus";
import { start } from "@millrace/servicebus";
import { expect, test } from "vitest";

const config = {
  UserConfig: { Namespaces: [{ Topics: [{ Name: "predictions", Subscriptions: [{ Name: "enterprise" }] }] }] },
};

test("it prints a message with its attributes, completes it, and stops cleanly", async () => {
  await using stack = new AsyncDisposableStack();
  const broker = stack.use(await start({ port: 0, host: "127.0.0.1", config }));
  const dir = await mkdtemp(path.join(tmpdir(), "consumer-"));
  stack.defer(() => rm(dir, { recursive: true }));
  const runFile = path.join(dir, "run.json");
  const serviceBus = { connectionString: broker.connectionString, topic: "predictions", subscription: "enterprise" };
  await writeFile(runFile, JSON.stringify({ serviceBus }));

  const client = new ServiceBusClient(broker.connectionString);
  stack.defer(() => client.close());
  await client.createSender("predictions").sendMessages({
    messageId: "r-1.1:predictions",
    correlationId: "c-1",
    subject: "inference.completed",
    contentType: "application/json",
    applicationProperties: { "cloudEvents:type": "millrace.inference.completed.v1", state: "done" },
    body: Buffer.from('{"state":"done"}'),
  });

  const child = spawn(process.execPath, [path.join(import.meta.dirname, "main.ts"), "--run", runFile], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  stack.defer(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.includes("body:")) break;
  }
  expect(lines.join("\n")).toBe(
    [
      "reading predictions/enterprise; Ctrl-C ends",
      "inference.completed r-1.1:predictions (correlation c-1)",
      "  type: millrace.inference.completed.v1",
      '  body: {"state":"done"}',
    ].join("\n"),
  );
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
  expect(broker.inspect("predictions/Subscriptions/enterprise").active).toBe(0);
});
