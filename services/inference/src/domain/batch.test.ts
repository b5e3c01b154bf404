import type { Tensor } from "@millrace/contracts";
import { describe, expect, test } from "vitest";
import { gather, halve, planBatches, scatter } from "./batch.ts";
import { firstNonFinite } from "./tensors.ts";

/** A request of `rows` rows of two values, counted up from `first`. */
const request = (rows: number, first = 0, trailing = [2]): Tensor[] => {
  const width = trailing.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length: rows * width }, (_, i) => first + i);
  return [{ name: "x", datatype: "FP32", shape: [rows, ...trailing], data }];
};

describe("planBatches", () => {
  test("small requests share a batch, up to its rows", () => {
    expect(planBatches([request(2), request(1), request(1), request(3)], 4)).toEqual([
      [
        { item: 0, from: 0, rows: 2 },
        { item: 1, from: 0, rows: 1 },
        { item: 2, from: 0, rows: 1 },
      ],
      [{ item: 3, from: 0, rows: 3 }],
    ]);
  });

  test("a large request is spread over batches and shares the last", () => {
    expect(planBatches([request(5), request(1)], 2)).toEqual([
      [{ item: 0, from: 0, rows: 2 }],
      [{ item: 0, from: 2, rows: 2 }],
      [
        { item: 0, from: 4, rows: 1 },
        { item: 1, from: 0, rows: 1 },
      ],
    ]);
  });

  test("requests of different shapes never share one", () => {
    const items = [request(1), request(1, 0, [3]), request(1)];
    expect(planBatches(items, 4).map((batch) => batch.map(({ item }) => item))).toEqual([[0, 2], [1]]);
  });

  test("no requests, no batches", () => expect(planBatches([], 4)).toEqual([]));
});

test("what is gathered and scattered again is what it was", () => {
  const items = [request(3), request(1, 100), request(4, 200)];
  for (const batch of planBatches(items, 3)) {
    const rows = batch.reduce((sum, slice) => sum + slice.rows, 0);
    const gathered = gather(items, batch);
    expect(gathered[0]!.shape).toEqual([rows, 2]);
    for (const [i, [part]] of scatter(gathered, batch).entries()) {
      const { item, from, rows } = batch[i]!;
      expect(part!.shape).toEqual([rows, 2]);
      expect([...part!.data]).toEqual([...items[item]![0]!.data].slice(from * 2, (from + rows) * 2));
    }
  }
});

test("halving ends at single rows and loses none", () => {
  const rowsOf = (batch: readonly { item: number; from: number; rows: number }[]): string[] => {
    const halves = halve(batch);
    if (halves) return halves.flatMap(rowsOf);
    expect(batch.map(({ rows }) => rows)).toEqual([1]);
    return batch.map(({ item, from }) => `${item}.${from}`);
  };
  const [batch] = planBatches([request(3), request(1), request(2)], 10);
  expect(rowsOf(batch!)).toEqual(["0.0", "0.1", "0.2", "1.0", "2.0", "2.1"]);
});

test("the first value that is not a number is found with its row", () => {
  const tensors = request(4);
  expect(firstNonFinite(tensors)).toBeUndefined();
  tensors[0]!.data[5] = Number.NEGATIVE_INFINITY;
  expect(firstNonFinite(tensors)).toEqual({ name: "x", row: 2, value: Number.NEGATIVE_INFINITY });
});
