import {
  eventually,
  type Random,
  readOutcomes,
  type StoredOutcome,
  type TestMillrace,
  type TopicFollower,
} from "@millrace/testkit";
import { expect } from "vitest";
import { makeBooks } from "./chaos/books.ts";
import { inflict } from "./chaos/inflict.ts";
import { planFaults } from "./chaos/plan.ts";

/** Kills every process once, at times and in an order that the seed decides. Resolves when all are back. */
export async function killEachOnce(
  millrace: TestMillrace,
  { random, gap_ms }: { random: Random; gap_ms: readonly [min: number, max: number] },
): Promise<void> {
  const processes = Object.keys(millrace.run.processes);
  const none = { pauses: 0, restarts: 0, leaderKills: 0, cuts: 0 };
  const plan = planFaults({ random, processes, kills: processes.length, ...none, gap_ms });
  await inflict(millrace, plan, { tell: (line) => console.info(line) });
}

/**
 * Checks that every accepted request has one outcome in the broker, one ledger row and one Service Bus message, and
 * that nothing else has. Waits for the last of them, then looks whether more follow.
 * @returns the outcomes, as stored
 */
export async function expectExactlyOnce(
  millrace: TestMillrace,
  topic: TopicFollower,
  of: { model: string; ids: readonly string[]; within_ms?: number },
): Promise<StoredOutcome[]> {
  const { model, ids, within_ms = 60_000 } = of;
  expect(new Set(ids).size).toBe(ids.length);
  const ends = async () => ({
    accepted: ids,
    outcomes: await readOutcomes(millrace.run, model),
    ledger: await millrace.ledger({ model, kind: "outcome" }),
    messages: topic.messages.filter(({ applicationProperties }) => applicationProperties.model === model),
  });
  await eventually(async () => expect(makeBooks(await ends()).lost.first).toEqual([]), { within_ms, every_ms: 250 });
  await new Promise((resolve) => setTimeout(resolve, 500)); // a repeat would come right behind
  const last = await ends();
  const { lost, doubled, unknown } = makeBooks(last);
  expect({ lost, doubled, unknown }).toEqual({ lost: NONE, doubled: NONE, unknown: NONE });
  return last.outcomes;
}

const NONE = { count: 0, first: [] };
