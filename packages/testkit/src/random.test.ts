import { expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { seededRandom } from "./random.ts";

test("the same seed gives the same numbers, another one others", () => {
  const numbers = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 5 }, () => random.integer(0, 1_000_000));
  };
  expect(numbers(1)).toEqual(numbers(1));
  expect(numbers(1)).not.toEqual(numbers(2));
});

test("eventually waits for the first success and gives the last failure", async () => {
  let tries = 0;
  const attempt = () => {
    if (++tries < 3) throw new Error(`try ${tries}`);
    return tries;
  };
  expect(await eventually(attempt, { every_ms: 1 })).toBe(3);
  const never = () => {
    throw new Error("no");
  };
  await expect(eventually(never, { within_ms: 20, every_ms: 1 })).rejects.toThrow("not within 20 ms: no");
});
