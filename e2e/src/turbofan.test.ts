import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type EncodedBody, encodeTensors, HEADER_LENGTH, outputsOf } from "@millrace/contracts";
import { readTurbofan, TURBOFAN_FEATURES, WINDOW, windows } from "@millrace/models/turbofan-data";
import { loadTensorFlow, type Model, openModel } from "@millrace/tensorflow";
import { type StoredOutcome, type Submit, seededRandom, startMillrace, submitAll } from "@millrace/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectExactlyOnce, killEachOnce } from "./exactly-once.ts";

const MODEL = "turbofan-rul";
const READINGS = 13_096;
/** Relative: near 125 cycles two neighbouring 32-bit floats are 7.6e-6 apart, and a batch may round otherwise than a row. */
const TOLERANCE = 1e-5;
const SHAPE = [1, WINDOW, TURBOFAN_FEATURES.length];

const repository = path.resolve(import.meta.dirname, "../..");
const data = path.resolve(repository, process.env.MILLRACE_DATA ?? "../shared/data", "cmapss");
const isThere = existsSync(path.join(data, "test_FD001.txt"));
if (!isThere) console.warn(`NASA's C-MAPSS is not at ${data} (MILLRACE_DATA names its parent): its tests are skipped`);

describe.skipIf(!isThere)("NASA's turbofan readings, one request each, through the running pipeline", () => {
  const stack = new AsyncDisposableStack();
  let models: string;
  let inputs: Float32Array[];
  let direct: number[];

  beforeAll(async () => {
    models = await mkdtemp(path.join(tmpdir(), "millrace-models-"));
    stack.defer(() => rm(models, { recursive: true, force: true }));
    const script = path.join(repository, "models/src/train.ts");
    const training = spawnSync(process.execPath, [script, "--data", data, "--out", models], { encoding: "utf8" });
    expect(training.status, training.stderr).toBe(0);
    const { test: engines } = await readTurbofan(data);
    inputs = [...windows(engines)].map((window) => window.values);
    const { tf } = await loadTensorFlow();
    using model = await openModel(path.join(models, MODEL), tf);
    direct = inputs.map((values) => predictAlone(model, values));
  }, 300_000);

  afterAll(() => stack.disposeAsync());

  test("each has one outcome, one message and one ledger row, with the value that the model gives directly", async () => {
    await run("calm", async () => {});
  }, 300_000);

  test("the same when every process is killed once on the way, nats-server too", async () => {
    await run("chaos", (millrace) => killEachOnce(millrace, { random: seededRandom(), gap_ms: [300, 1_500] }));
  }, 300_000);

  async function run(prefix: string, disturb: (millrace: Awaited<ReturnType<typeof startMillrace>>) => Promise<void>) {
    expect(inputs).toHaveLength(READINGS);
    await using millrace = await startMillrace({ models: [models] });
    await using topic = await millrace.follow();
    const began = performance.now();
    const [accepted] = await Promise.all([
      submitAll(millrace, requests(prefix, inputs), { concurrency: 48 }),
      disturb(millrace),
    ]);
    const ids = accepted.map(({ id }) => id);
    const stored = await expectExactlyOnce(millrace, topic, { model: MODEL, ids, within_ms: 120_000 });
    console.info(`${prefix}: ${stored.length} outcomes in ${((performance.now() - began) / 1000).toFixed(1)} s`);

    const piped = new Map(stored.map((outcome) => [outcome.outcome.id, remainingCycles(outcome)]));
    const pairs = ids.map((id, reading) => ({ piped: piped.get(id)!, direct: direct[reading]! }));
    const absolute = Math.max(...pairs.map(({ piped, direct }) => Math.abs(piped - direct)));
    console.info(`${prefix}: at most ${absolute.toExponential(1)} cycles from the direct prediction`);
    const differences = pairs.map(({ piped, direct }) => Math.abs(piped - direct) / Math.max(1, direct));
    expect(Math.max(...differences)).toBeLessThanOrEqual(TOLERANCE);
  }
});

function predictAlone(model: Model, values: Float32Array): number {
  const [output] = model.predict([{ name: "readings", datatype: "FP32", shape: SHAPE, data: values }]);
  return output!.data[0]!;
}

/** JSON and binary bodies in turn: both forms are the same request. */
function* requests(prefix: string, inputs: readonly Float32Array[]): Generator<Submit & { key: string }> {
  for (const [reading, data] of inputs.entries()) {
    const tensor = { name: "readings", datatype: "FP32" as const, shape: SHAPE, data };
    const body: EncodedBody = encodeTensors({}, "inputs", [tensor], reading % 2 === 0 ? "json" : "binary");
    const headers: Record<string, string> =
      body.headerLength === undefined
        ? {}
        : { [HEADER_LENGTH]: String(body.headerLength), "content-type": "application/octet-stream" };
    yield { model: MODEL, key: `${prefix}-${reading}`, body: body.bytes, headers };
  }
}

function remainingCycles({ outcome, body }: StoredOutcome): number {
  if (outcome.state !== "done") throw new Error(`${outcome.id} is dead: ${outcome.reason.detail}`);
  const outputs = outputsOf(outcome, body);
  if (!outputs.ok) throw new Error(outputs.problem.detail);
  return outputs.value[0]!.data[0]!;
}
