import { PRIORITY_WEIGHTS } from "@millrace/contracts";
import { seeded } from "@millrace/contracts/testing";
import { describe, expect, it } from "vitest";
import { type Company, servedWithin, waitOf } from "./fair-share.ts";

type Demands = Partial<Record<"high" | "normal" | "low", [waiting: number, arriving?: number]>>;

/** A lane at normal priority beside such other tenants, and such other priorities. */
const beside = (peers: [waiting: number, arriving?: number][], classes: Demands = {}): Company => ({
  weight: PRIORITY_WEIGHTS.normal,
  peers: peers.map(([waiting, arriving = 0]) => ({ waiting, arriving })),
  classes: Object.entries(classes).map(([priority, [waiting, arriving = 0]]) => ({
    weight: PRIORITY_WEIGHTS[priority as keyof Demands],
    waiting,
    arriving,
  })),
});

describe("the wait of a lane", () => {
  it.each<[string, number, Company, number]>([
    ["alone: its backlog by the rate", 1_000, beside([]), 10],
    ["an equal with less: that is done meanwhile", 1_000, beside([[100]]), 11],
    ["an equal with more: half the rate", 100, beside([[1_000]]), 2],
    ["a priority of four times the weight: a fifth of the rate", 100, beside([], { high: [10_000] }), 5],
    ["a lower priority that waits too", 100, beside([], { low: [10_000] }), 1.25],
    ["two tenants share what their priority gets", 100, beside([[1_000]], { high: [10_000] }), 10],
    ["a tenant with next to nothing takes nothing of that", 100, beside([[1]], { high: [10_000] }), 5.05],
    ["a rival that has nothing, and gets half the rate all the time", 1_000, beside([[0, 50]]), 20],
    ["a rival that gets more than its share takes its share", 1_000, beside([[0, 5_000]]), 20],
    ["a rival whose share is only filled after a while", 1_000, beside([[100, 20]]), 13.75],
    ["a higher priority that keeps coming", 400, beside([], { high: [0, 60] }), 10],
    ["nothing", 0, beside([[1e6]]), 0],
  ])("%s", (_what, waiting, company, expected) => {
    expect(waitOf(waiting, company, 100)).toBeCloseTo(expected, 6);
  });

  it("and what is served within it are inverse to each other", () => {
    for (let seed = 1; seed <= 1_000; seed++) {
      const random = seeded(seed);
      const pick = (max: number) => Math.floor(random() * max);
      const demand = (): [number, number] => [pick(1_000), pick(60)];
      const peers = Array.from({ length: pick(6) }, demand);
      const company = beside(peers, { high: demand(), ...(pick(2) ? { low: demand() } : {}) });
      const waiting = 1 + pick(2_000);
      const wait = waitOf(waiting, company, 100);
      expect(servedWithin(wait, company, 100) / waiting, `seed ${seed}`).toBeCloseTo(1, 6);
    }
  });

  it("is what a simulation of turns gives", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seeded(seed);
      const some = () => 200 + Math.floor(random() * 2_000);
      const own = [some(), some(), some()].slice(0, 1 + Math.floor(random() * 3));
      const [high, low] = [some(), some()];
      const company = beside(
        own.slice(1).map((waiting) => [waiting]),
        { high: [high], low: [low] },
      );
      const expected = turns(own, { high, low });
      expect(waitOf(own[0]!, company, 1) / expected, `seed ${seed}`).toBeCloseTo(1, 1);
    }
  });
});

/** Takes turns by weight until the first of the tenants is through; answers how many turns that took. */
function turns(tenants: readonly number[], others: { high: number; low: number }): number {
  const left = { ...others, tenants: [...tenants] };
  for (let served = 0; ; ) {
    for (const other of ["high", "low"] as const) {
      const taken = Math.min(PRIORITY_WEIGHTS[other], left[other]);
      left[other] -= taken;
      served += taken;
    }
    for (let turn = 0; turn < PRIORITY_WEIGHTS.normal; turn++) {
      // The one who has been served least is next.
      const next = left.tenants
        .map((waiting, i) => ({ waiting, i, served: tenants[i]! - waiting }))
        .filter(({ waiting }) => waiting > 0)
        .sort((a, b) => a.served - b.served)[0]!;
      left.tenants[next.i]!--;
      served++;
      if (left.tenants[0] === 0) return served;
    }
  }
}
