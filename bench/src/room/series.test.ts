import { describe, expect, it } from "vitest";
import { passed, rateBetween } from "./series.ts";

const samples = [
  { at_ms: 0, count: 0 },
  { at_ms: 1_000, count: 100 },
  { at_ms: 2_000, count: 100 },
  { at_ms: 3_000, count: 300 },
];

describe("a series of counts", () => {
  it("tells when a count was passed, between two looks in proportion", () => {
    expect([0, 50, 100, 200, 300].map((count) => passed(samples, count))).toEqual([0, 500, 1_000, 2_500, 3_000]);
    expect(() => passed(samples, 301)).toThrow(RangeError);
  });

  it("tells the rate between two counts", () => {
    expect(rateBetween(samples, 50, 200)).toBe(75);
  });
});
