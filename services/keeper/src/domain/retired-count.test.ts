import { expect, test } from "vitest";
import { RetiredCount } from "./retired-count.ts";

const walk = (count: RetiredCount, sequences: Iterable<number>) => {
  for (const sequence of sequences) count.see(sequence);
};
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

test("counts what it plans, from nothing", () => {
  const count = new RetiredCount(undefined);
  walk(count, range(1, 10));
  expect(count.plan(range(1, 9))).toEqual({ through: 9, retired: 9 });
  walk(count, range(11, 20));
  expect(count.plan([11, 20])).toEqual({ through: 20, retired: 11 });
});

test("what was promised before a crash and not done is taken back", () => {
  // 1–100 were promised, and 1–40 removed.
  const count = new RetiredCount({ through: 100, retired: 100 });
  walk(count, range(41, 120));
  expect(count.plan(range(41, 110))).toEqual({ through: 110, retired: 110 });
});

test("while the walk is not past the old mark, the promise stands", () => {
  const count = new RetiredCount({ through: 100, retired: 90 });
  walk(count, range(91, 95));
  expect(count.plan([91, 92])).toEqual({ through: 100, retired: 92 });
});

test("what somebody else removed is never counted as retention's, behind the mark or ahead of it", () => {
  // Retention removed 1–90; 95 is gone too, and so is 105.
  const count = new RetiredCount({ through: 100, retired: 90 });
  walk(count, [...range(91, 94), ...range(96, 104), ...range(106, 110)]);
  expect(count.plan([106])).toEqual({ through: 106, retired: 91 });
});
