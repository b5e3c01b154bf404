import { expect, test } from "vitest";
import { durationOf, secondsOf } from "./duration.ts";

test.each([
  ["PT10M", 600],
  ["P7D", 604_800],
  ["P1DT2H3M4.5S", 93_784.5],
  ["PT20S", 20],
  ["P10675199DT2H48M5.4775807S", Number.POSITIVE_INFINITY],
])("%s is %d seconds", (duration, seconds) => {
  expect(secondsOf(duration)).toBe(seconds);
});

test("seconds come back as they were written, and what is no duration is refused", () => {
  expect(secondsOf(durationOf(604_800))).toBe(604_800);
  expect(() => secondsOf("P1Y")).toThrow(/"P1Y"/);
});
