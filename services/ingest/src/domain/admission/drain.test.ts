import { describe, expect, it } from "vitest";
import { Drain } from "./drain.ts";

/** Looks once a second: how many wait, how many were acknowledged since the look before. */
function after(looks: readonly (readonly [waiting: number, acknowledged: number])[]): Drain {
  const drain = new Drain(10);
  for (const [second, [waiting, acknowledged]] of looks.entries()) drain.look(second, { waiting, acknowledged });
  return drain;
}
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe("the drain of a model", () => {
  it("is not known before it was busy", () => {
    expect(after([]).perSecond).toBeUndefined();
    expect(after([[0, 0], ...times(20, [3, 50] as const)]).perSecond).toBeUndefined();
    expect(after([[0, 0], ...times(20, [0, 50] as const)]).perSecond).toBeUndefined();
  });

  it("is what a busy model does, from its second progress on", () => {
    expect(
      after([
        [1_100, 0],
        [1_000, 100],
        [900, 100],
      ]).perSecond,
    ).toBeCloseTo(100);
    expect(after([[1_000, 0], ...times(20, [1_000, 40] as const)]).perSecond).toBeCloseTo(40);
  });

  it("is not told by the first progress, which may be of workers that were just started", () => {
    const starting = after([...times(8, [48, 0] as const), [1_700, 1]]);
    expect([starting.perSecond, starting.standing_s]).toEqual([undefined, 0]);
    starting.look(9, { waiting: 1_200, acknowledged: 500 });
    expect(starting.perSecond).toBeCloseTo(500);
  });

  it("is not lowered by having little to do, and raised by doing more than was believed", () => {
    const busy: [number, number][] = [[1_000, 0], ...times(10, [900, 100] as [number, number])];
    expect(after([...busy, [0, 900], ...times(50, [2, 5] as [number, number])]).perSecond).toBeGreaterThan(100);
  });

  it("of a model that answers many at once after a long run is that of the runs", () => {
    const runs = times(20, [...times(7, [1_000, 0] as const), [1_000, 80] as const]).flat();
    expect(after([[1_000, 0], ...runs]).perSecond).toBeCloseTo(10, 0);
  });

  it("a standstill is measured, and leaves the rate as it was", () => {
    const standing = after([[1_000, 0], ...times(10, [1_000, 100] as const), ...times(60, [1_000, 0] as const)]);
    expect([standing.perSecond, standing.standing_s]).toEqual([expect.closeTo(100), 60]);
    standing.look(71, { waiting: 900, acknowledged: 100 });
    expect(standing.standing_s).toBe(0);
    expect(standing.perSecond).toBeGreaterThan(70);
    standing.look(72, { waiting: 0, acknowledged: 900 });
    expect(standing.standing_s).toBe(0);
  });
});
