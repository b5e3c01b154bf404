import { expect, test } from "vitest";
import { inSeries, median, quantile, summarize } from "./statistics.ts";

test("the median of an even number of values lies between the middle two, whatever their order", () => {
  expect(median([10, 1, 3, 2])).toBe(2.5);
  expect(median([9, 100, 20])).toBe(20); // as numbers, not as text
  expect(median([7])).toBe(7);
});

test("quantiles interpolate as NumPy's default does", () => {
  const values = Array.from({ length: 101 }, (_, i) => i);
  expect(quantile(values, 0.99)).toBe(99);
  expect(quantile([1, 2, 3, 4], 0.25)).toBe(1.75);
  expect(quantile([5, 1], 0)).toBe(1);
  expect(quantile([5, 1], 1)).toBe(5);
});

test("of nothing there is no median", () => {
  expect(() => median([])).toThrow(RangeError);
});

test("a summary keeps the samples in the order they were measured", () => {
  expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, samples: [3, 1, 2] });
});

test("stages in series add their times", () => {
  expect(inSeries([100])).toBe(100);
  expect(inSeries([100, 100])).toBe(50);
  expect(inSeries([300, 150, 100])).toBeCloseTo(50);
  expect(() => inSeries([])).toThrow(RangeError);
  expect(() => inSeries([100, 0])).toThrow(RangeError);
});
