import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Share, Turns } from "./turns.ts";

const share = (over: Partial<Share> = {}): Share => ({ class: "normal", classWeight: 4, weight: 1, ...over });

/** Serves `total` work to queues that always have more; what each was given. */
function serve(queues: Record<string, Share>, total: number, cost: (name: string) => number = () => 1) {
  const turns = new Turns<string>();
  const given: Record<string, number> = {};
  for (const [name, of] of Object.entries(queues)) {
    turns.add(name, of);
    turns.enter(name);
    given[name] = 0;
  }
  for (let work = 0; work < total; ) {
    const next = turns.next()!;
    const price = cost(next);
    turns.charge(next, price);
    given[next]! += price;
    work += price;
  }
  return given;
}

describe("turns", () => {
  it("shares among priorities by 16:4:1, and starves none", () => {
    const given = serve(
      {
        high: share({ class: "high", classWeight: 16 }),
        normal: share(),
        low: share({ class: "low", classWeight: 1 }),
      },
      2_100,
    );
    expect(given.high).toBeCloseTo(1_600, -1);
    expect(given.normal).toBeCloseTo(400, -1);
    expect(given.low).toBeCloseTo(100, -1);
  });

  it("shares a priority among its tenants, equally or by weight, whatever their number is elsewhere", () => {
    const given = serve(
      {
        a: share({ class: "high", classWeight: 16 }),
        b: share({ class: "high", classWeight: 16, weight: 3 }),
        c: share({ class: "low", classWeight: 1 }),
        d: share({ class: "low", classWeight: 1 }),
      },
      17_000,
    );
    expect(given.a).toBeCloseTo(4_000, -1);
    expect(given.b).toBeCloseTo(12_000, -1);
    expect(given.c).toBeCloseTo(500, -1);
    expect(given.d).toBeCloseTo(500, -1);
  });

  it("one who had nothing to do saves up no turns, and waits for none", () => {
    const turns = new Turns<string>();
    turns.add("busy", share());
    turns.add("quiet", share());
    turns.enter("busy");
    for (let i = 0; i < 1_000; i++) turns.charge(turns.next()!, 1);
    turns.enter("quiet");
    const order = Array.from({ length: 10 }, () => {
      const next = turns.next()!;
      turns.charge(next, 1);
      return next;
    });
    expect(order.slice(0, 2)).toContain("quiet");
    expect(order.filter((name) => name === "quiet")).toHaveLength(5);
  });

  it("is nobody's turn when nothing waits", () => {
    const turns = new Turns<string>();
    turns.add("a", share());
    expect(turns.next()).toBeUndefined();
    turns.enter("a");
    expect(turns.next()).toBe("a");
    turns.leave("a");
    expect(turns.next()).toBeUndefined();
  });

  it("any weights and costs: each gets its share to within the largest message", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ weight: fc.integer({ min: 1, max: 20 }), cost: fc.integer({ min: 1, max: 4_096 }) }), {
          minLength: 2,
          maxLength: 8,
        }),
        (tenants) => {
          const queues = Object.fromEntries(tenants.map(({ weight }, index) => [`t${index}`, share({ weight })]));
          const costs = Object.fromEntries(tenants.map(({ cost }, index) => [`t${index}`, cost]));
          const given = serve(queues, 200_000, (name) => costs[name]!);
          const weights = tenants.reduce((sum, { weight }) => sum + weight, 0);
          const total = Object.values(given).reduce((sum, work) => sum + work, 0);
          const largest = Math.max(...tenants.map(({ cost, weight }) => cost / weight));
          for (const [index, { weight }] of tenants.entries())
            expect(Math.abs(given[`t${index}`]! / weight - total / weights)).toBeLessThanOrEqual(largest);
        },
      ),
    );
  });
});
