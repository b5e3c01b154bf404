import { expect, test } from "vitest";
import { interleave, perRound } from "./rounds.ts";

test("sides take turns, every second round backwards, and warm-ups are not counted", async () => {
  const order: string[] = [];
  let clock = 0;
  const side = (name: string) => async () => {
    order.push(name);
    return ++clock;
  };
  const samples = await interleave({ a: side("a"), b: side("b") }, { rounds: 2 });
  expect(order.join(" ")).toBe("b a a b b a");
  expect(samples).toEqual({ a: [3, 6], b: [4, 5] });
});

test("a ratio is taken within each round, so that a slow spell hits both of its sides", () => {
  const samples = { ours: [100, 10, 100], theirs: [200, 20, 200] };
  expect(perRound(samples, ({ ours, theirs }) => ours / theirs)).toEqual({
    median: 0.5,
    min: 0.5,
    max: 0.5,
    samples: [0.5, 0.5, 0.5],
  });
});

test("a side that fails ends the measurement", async () => {
  const failing = interleave({ a: async () => 1, b: () => Promise.reject(new Error("b broke")) }, { rounds: 2 });
  await expect(failing).rejects.toThrow("b broke");
});
