import { expect, test } from "vitest";
import { binaryQuality, lifeQuality } from "./quality.ts";

test("binary quality is what a hand calculation gives", () => {
  const quality = binaryQuality([0.9, 0.8, 0.7, 0.1, 0.1], [1, 0, 1, 0, 1], { threshold: 0.8 });
  // 6 pairs of a positive and a negative: 0.9 wins 2, 0.7 wins 1, 0.1 ties 1 → 3.5 of 6.
  expect(quality.auc).toBeCloseTo(3.5 / 6);
  expect(quality.brier).toBeCloseTo((0.01 + 0.64 + 0.09 + 0.01 + 0.81) / 5);
  expect(quality).toMatchObject({ rows: 5, positives: 3, precision: 0.5 });
  expect(quality.recall).toBeCloseTo(1 / 3);
});

test("a perfect ranking has an area of 1, a constant one of a half", () => {
  expect(binaryQuality([0.1, 0.2, 0.9], [0, 0, 1], { threshold: 0.5 }).auc).toBe(1);
  expect(binaryQuality([0.5, 0.5, 0.5], [0, 0, 1], { threshold: 0.5 }).auc).toBe(0.5);
});

test("the NASA score punishes a late warning more than an early one", () => {
  expect(lifeQuality([10], [20])).toMatchObject({ engines: 1, rmse: 10 });
  expect(lifeQuality([10], [20]).nasa_score).toBeCloseTo(Math.exp(10 / 13) - 1);
  expect(lifeQuality([30], [20]).nasa_score).toBeCloseTo(Math.exp(1) - 1);
});
