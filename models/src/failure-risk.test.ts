import { readFile } from "node:fs/promises";
import path from "node:path";
import { loadTensorFlow, openModel } from "@millrace/tensorflow";
import { expect, test } from "vitest";
import { FAILURE_RISK, failureRiskQuality, trainFailureRisk } from "./failure-risk.ts";

const { tf } = await loadTensorFlow();
const folder = path.resolve(import.meta.dirname, "../failure-risk");

test("the committed model is the one its manifest, digest and quality speak of", async () => {
  using model = await openModel(folder, tf);
  const stated = JSON.parse(await readFile(path.join(folder, "quality.json"), "utf8"));
  expect(model.manifest).toEqual(FAILURE_RISK);
  expect(model.digest).toBe(stated.digest);
  const quality = failureRiskQuality(model);
  expect(quality.auc).toBeCloseTo(stated.auc, 4);
  expect(quality.brier).toBeCloseTo(stated.brier, 4);
  expect(quality.auc).toBeGreaterThan(0.97);
  expect(quality.precision).toBeGreaterThan(0.8);
});

test("a short training lowers the loss and leaves nothing but the model in memory", async () => {
  const before = tf.memory().numTensors;
  const { model, losses } = await trainFailureRisk(tf, { machines: 6, epochs: 4 });
  expect(losses).toHaveLength(4);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.8);
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
