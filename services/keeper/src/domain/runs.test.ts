import { expect, test } from "vitest";
import { countOf, gaps, Runs, without } from "./runs.ts";

test("positions that follow each other are one run", () => {
  const runs = new Runs();
  for (const position of [1, 2, 3, 7, 8, 10]) runs.add(position);
  expect(runs.list).toEqual([
    [1, 3],
    [7, 8],
    [10, 10],
  ]);
  expect(runs.count).toBe(6);
});

test("gaps are what is in no run, to the end", () => {
  expect(
    gaps(
      [
        [2, 3],
        [7, 8],
      ],
      10,
    ),
  ).toEqual([
    [1, 1],
    [4, 6],
    [9, 10],
  ]);
  expect(gaps([], 4)).toEqual([[1, 4]]);
  expect(gaps([], 0)).toEqual([]);
  expect(gaps([[1, 9]], 5)).toEqual([]);
});

test.each([
  [[[1, 10]], [[1, 10]], []],
  [
    [[1, 10]],
    [
      [3, 4],
      [6, 6],
    ],
    [
      [1, 2],
      [5, 5],
      [7, 10],
    ],
  ],
  [
    [
      [1, 2],
      [5, 9],
    ],
    [[2, 6]],
    [
      [1, 1],
      [7, 9],
    ],
  ],
  [[[4, 5]], [], [[4, 5]]],
  [
    [
      [1, 3],
      [5, 7],
    ],
    [
      [1, 2],
      [2, 3],
      [6, 6],
    ],
    [
      [5, 5],
      [7, 7],
    ],
  ],
] as [[number, number][], [number, number][], [number, number][]][])("%j without %j is %j", (runs, others, left) => {
  expect(without(runs, others)).toEqual(left);
  expect(countOf(without(runs, others))).toBe(countOf(left));
});
