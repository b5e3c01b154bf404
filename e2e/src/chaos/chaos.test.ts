import { seededRandom } from "@millrace/testkit";
import { expect, test } from "vitest";
import { type ChaosReport, runChaos } from "./run.ts";

/**
 * The short form of `pnpm chaos`: a few seconds of what it does for an hour. More than all its own bounds together: a run
 * in which something does not come back says what, instead of being cut off.
 */
const WITHIN_MS = 480_000;
const tell = (line: string) => console.info(line);

function expectInOrder(report: ChaosReport): void {
  const { ok, books, dead, refused, behind } = report;
  expect({
    ok,
    refused,
    behind,
    lost: books.lost,
    doubled: books.doubled,
    unknown: books.unknown,
    dead,
  }).toEqual({
    ok: true,
    refused: [],
    behind: [],
    lost: { count: 0, first: [] },
    doubled: { count: 0, first: [] },
    unknown: { count: 0, first: [] },
    dead: [],
  });
  expect(books.accepted.ids).toBeGreaterThan(50);
  expect(books.accepted.answers).toBeGreaterThan(books.accepted.ids); // some were sent twice at once
}

test(
  "ten kills over all processes: each request has one outcome, ledger row, message and webhook",
  async () => {
    const report = await runChaos({ seed: seededRandom().seed, kills: 10, seconds: 12, tell });
    expect(report.faults.kills).toBe(10);
    expectInOrder(report);
  },
  WITHIN_MS,
);

test(
  "on three nodes, a leader is killed and a node cut off: the same, and all consumers go on by themselves",
  async () => {
    const report = await runChaos({
      seed: seededRandom().seed,
      kills: 2,
      pauses: 0,
      restarts: 0,
      cluster: true,
      seconds: 6,
      tell,
    });
    expect(report.faults).toMatchObject({ kills: 2, leaders_killed: 1, nodes_cut_off: 1 });
    expectInOrder(report);
    for (const { ms } of Object.values(report.recovery_ms_max)) expect(ms).not.toBeNull();
  },
  WITHIN_MS,
);
