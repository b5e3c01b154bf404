import { seededRandom } from "@millrace/testkit";
import { describe, expect, test } from "vitest";
import { type PlanOptions, planFaults } from "./plan.ts";

const SERVICES = ["audit", "bridge", "inference", "ingest", "notifier", "servicebus"];

const plan = (seed: number, over: Partial<PlanOptions> = {}) =>
  planFaults({
    random: seededRandom(seed),
    processes: [...SERVICES, "nats-server"],
    kills: 70,
    pauses: 7,
    restarts: 7,
    leaderKills: 0,
    cuts: 0,
    gap_ms: [100, 200],
    ...over,
  });

describe("a plan of faults", () => {
  test("is the same for the same seed, whatever the order of the names, and another for another", () => {
    expect(plan(1)).toEqual(plan(1));
    expect(plan(1, { processes: ["nats-server", ...SERVICES] })).toEqual(plan(1));
    expect(plan(1)).not.toEqual(plan(2));
  });

  test("strikes every process equally often with each kind of fault", () => {
    const faults = plan(3);
    expect(faults).toHaveLength(84);
    for (const name of [...SERVICES, "nats-server"]) {
      const of = (kind: string) => faults.filter(({ victim, kind: its }) => victim === name && its === kind);
      expect([of("kill").length, of("pause").length, of("restart").length]).toEqual([10, 1, 1]);
    }
    for (const { after_ms } of faults) expect(after_ms).toBeGreaterThanOrEqual(100);
    for (const { after_ms } of faults) expect(after_ms).toBeLessThanOrEqual(200);
  });

  test("on a cluster kills leaders and cuts nodes off, with their clients and without", () => {
    const nodes = ["nats-1", "nats-2", "nats-3"];
    const faults = plan(4, { processes: [...SERVICES, ...nodes], kills: 40, leaderKills: 20, cuts: 20 });
    const leaders = faults.filter(({ kind, victim }) => kind === "kill" && typeof victim !== "string");
    expect(leaders).toHaveLength(20);
    expect(faults.filter(({ kind }) => kind === "kill")).toHaveLength(40);
    const cuts = faults.filter((fault) => fault.kind === "cut");
    expect(cuts).toHaveLength(20);
    expect(cuts.filter(({ victim }) => typeof victim !== "string")).toHaveLength(10);
    expect(cuts.filter(({ clients }) => !clients)).toHaveLength(5);
  });
});
