import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { loadTensorFlow, openModel, saveModel } from "@millrace/tensorflow";
import { expect, test } from "vitest";
import { TURBOFAN_RUL, trainTurbofan, turbofanQuality } from "./turbofan.ts";
import { readTurbofan, TURBOFAN_FEATURES, WINDOW, windows } from "./turbofan-data.ts";

const data = path.resolve(
  process.env.MILLRACE_DATA ?? path.resolve(import.meta.dirname, "../../../shared/data"),
  "cmapss",
);
const present = existsSync(path.join(data, "train_FD001.txt"));
const word = present ? "" : ` (skipped: no C-MAPSS files in ${data}; set MILLRACE_DATA)`;

test("a window is the reading and those before it, the first repeated in front of a short history", () => {
  const readings = Array.from({ length: WINDOW + 2 }, (_, i) => TURBOFAN_FEATURES.map((_, f) => i * 100 + f));
  const all = [...windows([{ unit: 7, readings }])];
  expect(all.map(({ cycle }) => cycle)).toEqual(readings.map((_, i) => i + 1));
  const firstFeature = (values: Float32Array) =>
    Array.from({ length: WINDOW }, (_, i) => values[i * readings[0]!.length]);
  expect(firstFeature(all[1]!.values)).toEqual([...Array(WINDOW - 1).fill(0), 100]);
  expect(firstFeature(all.at(-1)!.values)).toEqual(Array.from({ length: WINDOW }, (_, i) => (i + 2) * 100));
  expect(all.at(-1)!.values.at(-1)).toBe(readings.at(-1)!.at(-1));
});

test("a missing file is named", async () => {
  await expect(readTurbofan(tmpdir())).rejects.toThrow(/FD001.txt is not in .*models\/README.md/);
});

test.skipIf(!present)(
  `trained on C-MAPSS FD001, the error on the 100 test engines is at most 16.5 cycles${word}`,
  {
    timeout: 120_000,
  },
  async () => {
    const { tf } = await loadTensorFlow();
    const cmapss = await readTurbofan(data);
    expect([...windows(cmapss.test)]).toHaveLength(13_096);
    const folder = await mkdtemp(path.join(tmpdir(), "turbofan-"));
    try {
      const { model } = await trainTurbofan(tf, cmapss);
      await saveModel(folder, { model, manifest: TURBOFAN_RUL, tf });
      model.dispose();
      using served = await openModel(folder, tf);
      const quality = turbofanQuality(served, cmapss);
      console.log(`turbofan-rul: ${JSON.stringify(quality)}`);
      expect(quality.engines).toBe(100);
      expect(quality.rmse).toBeLessThanOrEqual(16.5);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);
