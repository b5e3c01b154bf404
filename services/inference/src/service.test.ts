/** The service as a process, on a real nats-server, with the committed model in real TensorFlow. */
import path from "node:path";
import { readOutcome } from "@millrace/bus";
import { consumerName, OUTCOMES, outputsOf, type Tensor } from "@millrace/contracts";
import { FEATURES, type MachineReading, machineReadings } from "@millrace/models/readings";
import { loadTensorFlow, type Model, openModel } from "@millrace/tensorflow";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ask, type Broker, broker, outcomesOf, startService } from "./testing/harness.ts";

const MODELS_DIR = path.resolve(import.meta.dirname, "../../../models/failure-risk");
const stream: Iterator<MachineReading, undefined> = machineReadings({ seed: 99, machines: 50 });

/** The next `rows` readings of the fleet as an input tensor. */
function readings(rows: number): Tensor[] {
  const values = Array.from({ length: rows }, () => stream.next().value!.values);
  const data = Float32Array.from(values.flat());
  return [{ name: "readings", datatype: "FP32", shape: [rows, FEATURES.length], data }];
}

let it: Broker;
let model: Model;
beforeAll(async () => {
  it = await broker();
  model = await openModel(MODELS_DIR, (await loadTensorFlow()).tf);
}, 30_000);
afterAll(async () => {
  model?.dispose();
  await it?.[Symbol.asyncDispose]();
});
const request = (project: string, inputs: Tensor[], more: { form?: "binary"; binaryOutput?: boolean } = {}) =>
  ask(it.ingest, { project, model: model.manifest, digest: model.digest, inputs, parameters: PARAMETERS, ...more });
const PARAMETERS = { sensor: "s-7", urgent: true };

describe("inference", { timeout: 60_000 }, () => {
  test("gives each request the prediction of its rows, in the form it asked for, with proof of where it is from", async () => {
    await using _service = await startService(it, { MODELS_DIR });
    const asked = new Map<string, Tensor[]>();
    for (const rows of [1, 3, 512]) {
      for (const form of [{}, { form: "binary" }, { form: "binary", binaryOutput: true }] as const) {
        const inputs = readings(rows);
        asked.set(await request("plain", inputs, form), inputs);
      }
    }
    for (const [id, { record, body, sequence }] of await outcomesOf(it, { project: "plain", count: asked.size })) {
      if (record.state !== "done") throw new Error(record.reason.detail);
      const [expected] = model.predict(asked.get(id)!);
      const outputs = outputsOf(record, body);
      if (!outputs.ok) throw new Error(outputs.problem.detail);
      const [output] = outputs.value;
      expect(output).toMatchObject({ name: "failure_probability", shape: expected!.shape });
      for (const [i, value] of expected!.data.entries()) expect(output!.data[i]).toBeCloseTo(value, 5);
      expect(record).toMatchObject({
        model: { name: "failure-risk", version: model.manifest.version, digest: model.digest },
        request: { stream: "REQUESTS_TENSOR", rows: asked.get(id)![0]!.shape[0], parameters: PARAMETERS },
      });
      expect(record.runtime.backend).toMatch(/^tensorflow-(native|wasm)$/);
      expect(sequence).toBeGreaterThan(0);
    }
  });

  test("killed model processes cost nothing: every request has exactly one outcome", async () => {
    await using service = await startService(it, { MODELS_DIR });
    const total = 1_500;
    const publish = async () => {
      for (let sent = 0; sent < total; sent += 50)
        await Promise.all(Array.from({ length: 50 }, () => request("killed", readings(1))));
    };
    const kill = async () => {
      for (let kills = 0; kills < 3; kills++) {
        const [pid] = await vi.waitFor(
          () => {
            const pids = service.modelProcesses();
            expect(pids).toHaveLength(1);
            return pids;
          },
          { timeout: 20_000 },
        );
        process.kill(pid!, "SIGKILL");
        await vi.waitFor(() => expect(service.modelProcesses()).not.toContain(pid), { timeout: 20_000 });
      }
    };
    await Promise.all([publish(), kill()]);
    const outcomes = await outcomesOf(it, { project: "killed", count: total });
    expect([...outcomes.values()].filter(({ record }) => record.state !== "done")).toEqual([]);
  });

  test("SIGKILL of the service in the middle: the next one finishes, one outcome each", {
    timeout: 90_000,
  }, async () => {
    const total = 1_000;
    {
      await using first = await startService(it, { MODELS_DIR });
      await Promise.all(Array.from({ length: total / 2 }, () => request("crash", readings(1))));
      first.process.kill("SIGKILL");
    }
    await Promise.all(Array.from({ length: total / 2 }, () => request("crash", readings(1))));
    await using _second = await startService(it, { MODELS_DIR });
    const outcomes = await outcomesOf(it, { project: "crash", count: total });
    expect([...outcomes.values()].every(({ record }) => record.state === "done")).toBe(true);
  });

  test("SIGTERM under load settles what is under way and loses nothing", async () => {
    const total = 600;
    {
      await using first = await startService(it, { MODELS_DIR });
      await Promise.all(Array.from({ length: total }, () => request("term", readings(1))));
      expect(await first.stop()).toBe(0);
      expect(first.lines.filter(({ level }) => level === "error" || level === "fatal")).toEqual([]);
    }
    await using _second = await startService(it, { MODELS_DIR });
    await outcomesOf(it, { project: "term", count: total });
  });

  test("garbage published by hand becomes a dead letter with its reason, and disturbs nobody", async () => {
    await using _service = await startService(it, { MODELS_DIR });
    const js = it.operator.js;
    const subject = (id: string, name = "failure-risk") => `req.tensor.normal.acme.garbage.${name}.${id}`;
    await js.publish(subject("no-envelope"), "garbage");
    const urgent = await js.publish(subject("bad-priority").replace("normal", "urgent"), "{}");
    await js.publish(subject("nobody", "no-such-model"), "{}");
    const wrong = { ...readings(1)[0]!, name: "radings" };
    const id = await request("garbage", [wrong]);
    const good = await request("garbage", readings(2));

    const outcomes = await outcomesOf(it, { project: "garbage", count: 5 });
    const codes = Object.fromEntries(
      [...outcomes].map(([key, { record }]) => [key, record.state === "done" ? "done" : record.reason.code]),
    );
    expect(codes).toEqual({
      "no-envelope": "malformed-message",
      [`REQUESTS_TENSOR-${urgent.seq}`]: "malformed-message",
      nobody: "unknown-model",
      [id]: "unknown-input",
      [good]: "done",
    });
  });

  test("a request that is delivered again keeps its outcome", async () => {
    await using _service = await startService(it, { MODELS_DIR });
    const id = await request("again", readings(1));
    const of = { tenant: "acme", project: "again", model: "failure-risk", id };
    const first = (await outcomesOf(it, { project: "again", count: 1 })).get(id)!;
    // As if the ack had been lost: the durable starts over and sees every request of this file again.
    const durable = consumerName.lane({ kind: "tensor", priority: "normal", tenant: "acme", model: "failure-risk" });
    await it.operator.jsm.consumers.delete("REQUESTS_TENSOR", durable);
    const before = (await it.operator.jsm.streams.info(OUTCOMES.name)).state.messages;
    await vi.waitFor(
      async () => {
        const { ack_floor } = await it.operator.jsm.consumers.info("REQUESTS_TENSOR", durable);
        expect(ack_floor.stream_seq).toBeGreaterThanOrEqual(first.record.request.sequence);
      },
      { timeout: 30_000, interval: 100 },
    );
    const second = await readOutcome(it.operator, of);
    expect(second?.sequence).toBe(first.sequence);
    expect(Buffer.from(second!.body.bytes).equals(first.body.bytes)).toBe(true);
    expect((await it.operator.jsm.streams.info(OUTCOMES.name)).state.messages).toBe(before);
  });

  test("WASM gives what native gives, within float tolerance", async () => {
    const inputs = readings(200);
    const ids: string[] = [];
    const backends: string[] = [];
    for (const BACKEND of ["wasm", "auto"]) {
      await using _service = await startService(it, { MODELS_DIR, BACKEND });
      ids.push(await request("backends", inputs));
      await outcomesOf(it, { project: "backends", count: ids.length });
    }
    const outcomes = await outcomesOf(it, { project: "backends", count: 2 });
    const [wasm, native] = ids.map((id) => {
      const { record, body } = outcomes.get(id)!;
      if (record.state !== "done") throw new Error(record.reason.detail);
      backends.push(record.runtime.backend);
      const outputs = outputsOf(record, body);
      return outputs.ok ? outputs.value[0]!.data : [];
    });
    expect(backends[0]).toBe("tensorflow-wasm");
    for (let i = 0; i < 200; i++) expect(wasm![i]).toBeCloseTo(native![i]!, 4);
  });
});

test("a settings mistake and an empty models folder are said before anything starts", { timeout: 30_000 }, async () => {
  await expect(startService(it, { MODELS_DIR: "/nowhere", GRACE_MS: "soon" })).rejects.toThrow(/GRACE_MS/);
  await expect(startService(it, { MODELS_DIR: "/nowhere" })).rejects.toThrow(/\/nowhere has no manifest.json/);
});
