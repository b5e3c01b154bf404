/** Poison, on a real broker: requests of a model that dies, fails, hangs and computes nonsense on certain values. */
import { consumeRequests, openLanes } from "@millrace/bus";
import type { Tensor } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { expect, test } from "vitest";
import { startModelRunner } from "../adapters/model-runner.ts";
import { ask, broker, outcomesOf } from "../testing/harness.ts";
import { onRequested } from "./requested.ts";

const rows = (...values: number[]): Tensor[] => [
  { name: "readings", datatype: "FP32", shape: [values.length, 1], data: Float32Array.from(values) },
];

test("each poison request is found and becomes a dead letter with its row; the others get their results", {
  timeout: 60_000,
}, async () => {
  await using it = await broker();
  await using runner = await startModelRunner({
    module: new URL("../testing/fragile-child.ts", import.meta.url),
    folder: "unused",
    start_timeout_ms: 10_000,
    memory_max_bytes: 2 ** 30,
    log: createLogger("test", "silent"),
    stopping: new AbortController().signal,
  });
  const poison = {
    "model-crashed": rows(1, 2, 666),
    "model-failed": rows(500),
    "model-timeout": rows(1, 408, 3),
    "model-invalid-output": rows(5, 406),
  };
  const expected = new Map<string, string>();
  const publish = async (inputs: Tensor[], code: string) =>
    expected.set(
      await ask(it.ingest, { project: "poison", model: runner.manifest, digest: runner.digest, inputs }),
      code,
    );
  for (let i = 0; i < 40; i++) await publish(rows(i, i + 1), "done");
  for (const [code, inputs] of Object.entries(poison)) await publish(inputs, code);
  for (let i = 0; i < 40; i++) await publish(rows(i), "done");

  using lanes = await openLanes(it.operator);
  await lanes.register({ kind: "tensor", priority: "normal", tenant: "acme", model: runner.manifest.name });
  const options = { model: runner.manifest.name, lanes, batch_max: 64, concurrency: 2 };
  await using _consumption = await consumeRequests(it.operator, options, onRequested(runner));
  const outcomes = await outcomesOf(it, { project: "poison", count: expected.size });
  const details: Record<string, string> = {};
  for (const [id, { record }] of outcomes) {
    expect(record.state === "done" ? "done" : record.reason.code).toBe(expected.get(id));
    if (record.state === "dead") {
      details[record.reason.code] = record.reason.detail;
      expect(record.deliveries).toBe(1);
    }
  }
  expect(details).toEqual({
    "model-crashed": "row 2: the model process ended (SIGKILL) during the run",
    "model-failed": "row 0: the graph does not like 500",
    "model-timeout": "row 1: the run took longer than 400 ms",
    "model-invalid-output": 'row 1: "doubled" is NaN',
  });
});
