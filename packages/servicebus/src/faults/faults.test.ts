import { describe, expect, test, vi } from "vitest";
import { checkFault, type Fault, FaultError } from "./fault.ts";
import { Faults } from "./faults.ts";

const now = Date.parse("2030-01-01T00:00:00Z");
const strikes = (faults: Faults, count: number, path = "queue") =>
  Array.from({ length: count }, () => faults.strike("lose-lock", path) !== undefined);

describe("what is asked for", () => {
  test.each<[unknown, RegExp]>([
    [null, /kind: must be one of drop-connection, drop-link, /],
    [{ kind: "explode" }, /kind: must be one of/],
    [{ kind: "drop-link" }, /needs either everyMs or afterTransfers/],
    [{ kind: "drop-link", everyMs: 10, afterTransfers: 1 }, /needs either/],
    [{ kind: "delay", ms: 0, of: ["x"], more: 1 }, /more.*; .*ms: .*; .*of\/0: /],
    [{ kind: "lose-disposition" }, /applied/],
    [{ kind: "partition", entity: "queue" }, /entity/],
    [{ kind: "lose-lock", probability: 0 }, /probability/],
    [{ kind: "lose-lock", until: "2029-12-31T23:59:59Z" }, /until: must be within the next hour/],
    [{ kind: "lose-lock", until: "2030-13-01T00:00:00Z" }, /until: must be within the next hour/],
    [{ kind: "lose-lock", until: "tomorrow" }, /until/],
  ])("%j is refused, with every mistake", (fault, expected) => {
    expect(() => checkFault(fault, now)).toThrow(FaultError);
    expect(() => checkFault(fault, now)).toThrow(expected);
  });

  test.each<[Fault, number]>([
    [{ kind: "partition" }, 60_000],
    [{ kind: "partition", durationMs: 5 }, 5],
    [{ kind: "lose-lock", times: 1 }, 3_600_000],
    [{ kind: "lose-lock", times: 1, durationMs: 5 }, 5],
    [{ kind: "lose-lock", until: "2030-01-01T00:00:10Z" }, 10_000],
    [{ kind: "lose-lock", until: "2030-01-01T00:00:10Z", durationMs: 5 }, 5],
  ])("%j ends by itself", (fault, afterMs) => {
    expect(checkFault(fault, now).endsAt).toBe(now + afterMs);
  });

  test("a name is short and simple, and there are not too many", () => {
    const faults = new Faults({ now: () => now });
    expect(() => faults.set("a/b", { kind: "lose-lock" })).toThrow(/name/);
    for (let n = 0; n < 100; n++) faults.set(`n${n}`, { kind: "lose-lock" });
    expect(() => faults.set("one-more", { kind: "lose-lock" })).toThrow(/100 faults/);
    faults.set("n0", { kind: "refuse" });
    faults.clear();
    expect(faults.list()).toEqual([]);
  });
});

describe("what happens", () => {
  test("it strikes so many times, and is still listed until it is cleared", () => {
    const faults = new Faults({ now: () => now });
    faults.set("one", { kind: "lose-lock", times: 2 });
    expect(strikes(faults, 4)).toEqual([true, true, false, false]);
    expect(faults.list()).toMatchObject([{ name: "one", active: false, struck: 2 }]);
    expect(faults.clear("one")).toBe(true);
    expect(faults.clear("one")).toBe(false);
  });

  test("it strikes its entity, with its dead letters and subscriptions, and no other", () => {
    const faults = new Faults({ now: () => now });
    faults.set("one", { kind: "lose-lock", entity: "News" });
    expect(strikes(faults, 1, "news/Subscriptions/all/$deadletterqueue")).toEqual([true]);
    expect(strikes(faults, 1, "newspaper")).toEqual([false]);
  });

  test("the same seed draws the same, and another one does not", () => {
    const drawn = (seed: number) => {
      const faults = new Faults({ now: () => now });
      faults.set("one", { kind: "lose-lock", probability: 0.3, seed, durationMs: 1000 });
      return strikes(faults, 1_000);
    };
    expect(drawn(7)).toEqual(drawn(7));
    expect(drawn(7)).not.toEqual(drawn(8));
    const struck = drawn(7).filter(Boolean).length;
    expect(struck).toBeGreaterThan(250);
    expect(struck).toBeLessThan(350);
  });

  test("each so-manieth message costs a link", () => {
    const faults = new Faults({ now: () => now });
    faults.set("one", { kind: "drop-link", afterTransfers: 3, times: 1 });
    const costs = Array.from({ length: 7 }, () => faults.transferred("queue"));
    expect(costs).toEqual([undefined, undefined, "drop-link", undefined, undefined, undefined, undefined]);
  });

  test("time ends it, and a partition with it", () => {
    vi.useFakeTimers();
    try {
      const faults = new Faults({ now: Date.now });
      const told: unknown[] = [];
      faults.serve({ drop: () => told.push("drop") > 0, partition: (on) => void told.push(on) });
      faults.set("one", { kind: "partition", durationMs: 100 });
      faults.set("two", { kind: "partition", durationMs: 200 });
      faults.set("drops", { kind: "drop-connection", everyMs: 30, times: 2 });
      vi.advanceTimersByTime(150);
      expect(told).toEqual([true, true, "drop", "drop"]);
      vi.advanceTimersByTime(100);
      expect(told.at(-1)).toBe(false);
      expect(faults.list().map(({ active }) => active)).toEqual([false, false, false]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
