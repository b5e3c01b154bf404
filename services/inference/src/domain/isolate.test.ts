import type { Tensor } from "@millrace/contracts";
import { describe, expect, test } from "vitest";
import { runIsolated } from "./isolate.ts";
import { type Run, RunnerClosedError, type RunResult } from "./model.ts";

const request = (...values: number[]): Tensor[] => [
  { name: "x", datatype: "FP32", shape: [values.length, 1], data: Float32Array.from(values) },
];

/** Doubles; `wrong` says what goes wrong on a value. Counts its runs. */
function fake(wrong: (value: number) => Extract<RunResult, { ok: false }>["why"] | undefined) {
  const runs: number[][] = [];
  const run: Run = async ([x]) => {
    const values = [...x!.data];
    runs.push(values);
    const why = values.map(wrong).find((found) => found !== undefined);
    if (why) return { ok: false, why, detail: "because" };
    const outputs = [{ ...x!, data: (x!.data as Float32Array).map((value) => value * 2) }];
    return { ok: true, outputs, started_at: new Date(1_000 + runs.length), compute_ms: 1 };
  };
  return { run, runs };
}
const values = (results: Awaited<ReturnType<typeof runIsolated>>) =>
  results.map((result) => (result.ok ? [...result.outputs[0]!.data] : `${result.why} at ${result.row}`));

describe("runIsolated", () => {
  test("requests share a run and each gets its own rows back", async () => {
    const { run, runs } = fake(() => undefined);
    const results = await runIsolated([request(1), request(2, 3), request(4)], { rowsMax: 10, run });
    expect(values(results)).toEqual([[2], [4, 6], [8]]);
    expect(runs).toEqual([[1, 2, 3, 4]]);
    expect(results[0]).toMatchObject({ batch_rows: 4, compute_ms: 1, started_at: new Date(1_001) });
  });

  test("a request larger than a run comes back whole", async () => {
    const { run, runs } = fake(() => undefined);
    const results = await runIsolated([request(1, 2, 3, 4, 5), request(6)], { rowsMax: 2, run });
    expect(values(results)).toEqual([[2, 4, 6, 8, 10], [12]]);
    expect(runs).toHaveLength(3);
    expect(results[0]).toMatchObject({ batch_rows: 2, compute_ms: 3, started_at: new Date(1_001) });
  });

  test("poison costs its own request only, and its row is named", async () => {
    const { run, runs } = fake((value) => (value < 0 ? "failed" : undefined));
    const items = [
      request(1),
      request(2, -3, 4),
      request(5),
      request(-6),
      ...Array.from({ length: 60 }, () => request(7)),
    ];
    const results = await runIsolated(items, { rowsMax: 100, run });
    expect(values(results).slice(0, 5)).toEqual([[2], "failed at 1", [10], "failed at 0", [14]]);
    expect(results.slice(4).every((result) => result.ok)).toBe(true);
    expect(runs.length).toBeLessThan(2 * 2 * 7 + 2); // two paths through a tree of 66 rows
  });

  test("a run that always kills the process is confirmed alone before a request is blamed", async () => {
    const { run, runs } = fake((value) => (value < 0 ? "crashed" : undefined));
    expect(values(await runIsolated([request(1), request(-1)], { rowsMax: 10, run }))).toEqual([[2], "crashed at 0"]);
    expect(runs.filter((rows) => rows.length === 1 && rows[0] === -1)).toHaveLength(3);
  });

  test("a process that dies of something else blames nobody", async () => {
    let deaths = 2;
    const { run } = fake(() => (deaths-- > 0 ? "crashed" : undefined));
    expect(values(await runIsolated([request(1)], { rowsMax: 10, run }))).toEqual([[2]]);
  });

  test("when everything fails, every request has its own failure", async () => {
    const { run } = fake(() => "timeout");
    const results = await runIsolated([request(1, 2), request(3)], { rowsMax: 2, run });
    expect(values(results)).toEqual(["timeout at 0", "timeout at 0"]);
  });

  test("a closed runner is nobody's failure", async () => {
    const run: Run = () => Promise.reject(new RunnerClosedError());
    await expect(runIsolated([request(1), request(2)], { rowsMax: 1, run })).rejects.toThrow(RunnerClosedError);
  });
});
