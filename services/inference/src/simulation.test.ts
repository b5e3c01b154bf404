/** The handler of requests, from submission to outcome, with a model that fails in every way it can. */
import { forScenarios, runWorkers, type Simulation, simulate, submitJobs } from "@millrace/bus/testing";
import { encodeRequest, type Manifest, outputsOf, type Tensor } from "@millrace/contracts";
import { test } from "vitest";
import type { RunFailure, RunResult, ServedModel } from "./domain/model.ts";
import { onRequested } from "./handlers/requested.ts";

const manifest: Manifest = {
  name: "doubler",
  version: "1",
  runner: "tensorflow",
  format: "layers",
  description: "Doubles what it is given",
  inputs: [{ name: "readings", datatype: "FP32", shape: [-1, 1] }],
  outputs: [{ name: "doubled", datatype: "FP32", shape: [-1, 1] }],
  batch: { rows_max: 4 },
  timeout_ms: 1_000,
};

/** What the model does on certain values, and the code under which such a request dies. */
const POISON = { failed: 500, crashed: 666, timeout: 408 } as const satisfies Record<RunFailure, number>;
const NONSENSE = 406;
const CODES: Readonly<Record<string, string>> = {
  failed: "model-failed",
  crashed: "model-crashed",
  timeout: "model-timeout",
  nonsense: "model-invalid-output",
  malformed: "unknown-input",
};

/** A model in virtual time: slow at times, and its process dies at times on a row that has done nothing. */
function model({ world }: Simulation): ServedModel {
  const random = world.random("model");
  const deaths = new Map<string, number>();
  const run = async (inputs: readonly Tensor[]): Promise<RunResult> => {
    const started_at = new Date();
    const compute_ms = random.chance(0.03) ? 15_000 : random.next() * 50;
    await new Promise((resolve) => setTimeout(resolve, compute_ms));
    const rows = [...inputs[0]!.data];
    for (const [why, value] of Object.entries(POISON))
      if (rows.includes(value))
        return { ok: false, why: why as RunFailure, detail: `the model does not like ${value}` };
    // Twice on the same rows may be chance; a third time would make them the cause.
    const died = deaths.get(rows.join()) ?? 0;
    if (died < 2 && random.chance(0.1)) {
      deaths.set(rows.join(), died + 1);
      return { ok: false, why: "crashed", detail: "the model process ended (SIGKILL)" };
    }
    const data = Float32Array.from(rows, (value) => (value === NONSENSE ? Number.NaN : value * 2));
    const outputs: Tensor[] = [{ name: "doubled", datatype: "FP32", shape: [rows.length, 1], data }];
    return { ok: true, outputs, started_at, compute_ms };
  };
  return { manifest, digest: `sha256:${"d".repeat(64)}`, backend: { name: "simulated", version: "1" }, run };
}

/** Rows of a request: its own numbers, and among them what makes it die. */
function rowsOf(kind: string, index: number, variant: number): number[] {
  const rows = Array.from({ length: 1 + (index % 6) }, (_, row) => index * 10 + row + variant / 2);
  const bad = kind === "nonsense" ? NONSENSE : POISON[kind as RunFailure];
  if (bad !== undefined) rows[index % rows.length] = bad;
  return rows;
}

const requestsThroughTheModel = (simulation: Simulation) => {
  const sent = new Map<string, { kind: string; rows: number[] }>();
  submitJobs(simulation, {
    model: manifest.name,
    kinds: { good: 8, failed: 1, crashed: 1, timeout: 1, nonsense: 1, malformed: 1 },
    body({ kind, index, variant }) {
      const rows = rowsOf(kind, index, variant);
      const name = kind === "malformed" ? "nothing" : "readings";
      const data = Float32Array.from(rows);
      const inputs: Tensor[] = [{ name, datatype: "FP32", shape: [rows.length, 1], data }];
      const { bytes } = encodeRequest({ inputs, binaryOutput: false }, "json");
      sent.set(Buffer.from(bytes).toString(), { kind, rows });
      return bytes;
    },
  });
  runWorkers(simulation, manifest.name, onRequested(model(simulation)));
  const { broker, books } = simulation;
  broker.onStored((stream, message) => {
    if (stream.name !== "OUTCOMES") return;
    const id = message.subject.split(".")[4]!;
    const { record } = books.outcomes.get(id)!.at(-1)!;
    const request = broker.streams.get(record.request.stream)!.get(record.request.sequence)!;
    const { kind, rows } = sent.get(Buffer.from(request.data).toString())!;
    const expected = CODES[kind] ?? rows.map((row) => row * 2).join();
    if (record.state === "dead") {
      if (record.reason.code !== expected)
        books.violated(`${id} died of ${record.reason.code}: ${record.reason.detail}`);
      return;
    }
    const outputs = outputsOf(record, { bytes: message.data });
    const given = outputs.ok ? outputs.value[0]!.data.join() : outputs.problem.detail;
    if (given !== expected) books.violated(`${id} was given ${given} instead of ${expected}`);
  });
};

test("each request gets its own rows' results or its own reason, whatever else happens", {
  timeout: 600_000,
}, async () => {
  await forScenarios((scenario) => simulate(scenario, requestsThroughTheModel), { runs: 600 });
});
