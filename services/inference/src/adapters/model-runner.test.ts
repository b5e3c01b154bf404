import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Tensor } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { describe, expect, test, vi } from "vitest";
import { RunnerClosedError, type RunResult } from "../domain/model.ts";
import { startModelRunner } from "./model-runner.ts";

const start = (folder = "unused", stopping = new AbortController().signal) =>
  startModelRunner({
    module: new URL("../testing/fragile-child.ts", import.meta.url),
    folder,
    start_timeout_ms: 10_000,
    memory_max_bytes: 2 ** 30,
    log: createLogger("test", "silent"),
    stopping,
  });
const rows = (...values: number[]): Tensor[] => [
  { name: "readings", datatype: "FP32", shape: [values.length, 1], data: Float32Array.from(values) },
];
const seen = (result: RunResult) => (result.ok ? [...result.outputs[0]!.data] : result.why);

describe("a model runner", () => {
  test("answers runs in order, however many wait", async () => {
    await using runner = await start();
    const results = await Promise.all(Array.from({ length: 50 }, (_, i) => runner.run(rows(i))));
    expect(results.map(seen)).toEqual(Array.from({ length: 50 }, (_, i) => [i * 2]));
    expect(runner.restarts).toBe(0);
  });

  test("a process that dies fails the run it computed; those behind go to the next process", async () => {
    await using runner = await start();
    const results = await Promise.all([rows(1), rows(666), rows(2), rows(3), rows(4)].map(runner.run));
    expect(results.map(seen)).toEqual([[2], "crashed", [4], [6], [8]]);
    expect(results[1]).toMatchObject({ detail: expect.stringContaining("SIGKILL") });
    expect(runner.restarts).toBe(1);
  });

  test("a process killed from outside is replaced, also when nothing runs", async () => {
    await using runner = await start();
    const before = runner.pid!;
    process.kill(before, "SIGKILL");
    await vi.waitFor(() => expect(runner.pid ?? before).not.toBe(before), { timeout: 10_000 });
    expect(seen(await runner.run(rows(5)))).toEqual([10]);
  });

  test("a run past the manifest's limit is stopped, and the next one is served", async () => {
    await using runner = await start();
    const results = await Promise.all([rows(408), rows(1)].map(runner.run));
    expect(results.map(seen)).toEqual(["timeout", [2]]);
    expect(results[0]).toMatchObject({ detail: "the run took longer than 400 ms" });
  });

  test("a run is not blamed for time in which this process stood still", async () => {
    await using runner = await start();
    const running = runner.run(rows(4));
    await new Promise((resolve) => setImmediate(resolve)); // it is on its way
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500); // as SIGSTOP would
    expect(seen(await running)).toEqual([8]);
    expect(runner.restarts).toBe(0);
  });

  test("a process that outgrows its memory is replaced between runs, and no run notices", async () => {
    await using runner = await start();
    const results = await Promise.all([rows(413), rows(1), rows(2), rows(3)].map(runner.run));
    expect(results.map(seen)).toEqual([[826], [2], [4], [6]]);
    expect(runner.restarts).toBe(1);
  });

  test("a refused graph is a failure with the reason, and the process lives", async () => {
    await using runner = await start();
    expect(await runner.run(rows(500))).toEqual({ ok: false, why: "failed", detail: "the graph does not like 500" });
    expect(runner.restarts).toBe(0);
  });

  test("once closed, its process is gone and runs are refused", async () => {
    const runner = await start();
    const pid = runner.pid!;
    await runner[Symbol.asyncDispose]();
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    await expect(runner.run(rows(1))).rejects.toThrow(RunnerClosedError);
  });

  test("while a model does not start, runs wait; when the service stops, they are refused instead of holding it up", async () => {
    const stopping = new AbortController();
    const folder = await mkdtemp(path.join(tmpdir(), "millrace-fragile-"));
    await using runner = await start(folder, stopping.signal);
    await rm(folder, { recursive: true }); // from now on it cannot start
    expect(seen(await runner.run(rows(666)))).toBe("crashed");
    const waiting = runner.run(rows(1));
    waiting.catch(() => {});
    await vi.waitFor(() => expect(runner.restarts).toBeGreaterThan(2), { timeout: 10_000 });
    expect(await Promise.race([waiting.then(() => "settled"), Promise.resolve("waits")])).toBe("waits");
    stopping.abort();
    await expect(waiting).rejects.toThrow(RunnerClosedError);
  });

  test("a model that cannot be served is refused with its reason", async () => {
    const log = createLogger("test", "silent");
    const stopping = new AbortController().signal;
    const options = { start_timeout_ms: 20_000, memory_max_bytes: 2 ** 40, log, stopping };
    const module = new URL("../runner/child.ts", import.meta.url);
    await expect(startModelRunner({ ...options, module, folder: "/nowhere", backend: "wasm" })).rejects.toThrow(
      "Model folder /nowhere: manifest.json cannot be read; check that the folder is complete.",
    );
  });
});
