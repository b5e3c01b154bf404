import { expect, test } from "vitest";
import { Pace } from "./pace.ts";

test("turns come evenly, and what was missed is not caught up with", () => {
  const pace = new Pace(500);
  let now = 1_000;
  const turns: number[] = [];
  for (let turn = 0; turn < 1_000; turn++) {
    now += pace.turn(now);
    turns.push(now);
  }
  expect(now - 1_000).toBeGreaterThan(1_985);
  expect(now - 1_000).toBeLessThan(2_005);
  now += 60_000; // the broker was away
  const waits = Array.from({ length: 10 }, () => pace.turn(now));
  expect(waits.filter((wait) => wait === 0).length).toBeLessThanOrEqual(4);
});
