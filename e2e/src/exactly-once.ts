import { outcomeId } from "@millrace/contracts";
import { eventually, readOutcomes, type StoredOutcome, type TestMillrace, type TopicFollower } from "@millrace/testkit";
import { expect } from "vitest";

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
  const wait = { within_ms, every_ms: 250 };
  const stored = await eventually(async () => {
    const outcomes = await readOutcomes(millrace.run, model);
    expect(outcomes.length).toBeGreaterThanOrEqual(ids.length);
    return outcomes;
  }, wait);
  const expected = stored.map(({ outcome }) => outcomeId(outcome.id, outcome.attempt)).sort();
  expect(stored.map(({ outcome }) => outcome.id).sort()).toEqual([...ids].sort());

  const rows = await eventually(async () => {
    const entries = await millrace.ledger({ model, kind: "outcome" });
    expect(entries.length).toBeGreaterThanOrEqual(ids.length);
    return entries;
  }, wait);
  expect(rows.map(({ id }) => id).sort()).toEqual(expected);

  /** The messages of the subscription, however often one of them was delivered. */
  const messages = () => [
    ...new Map(
      topic.messages
        .filter(({ applicationProperties }) => applicationProperties.model === model)
        .map((message) => [message.sequenceNumber, message]),
    ).values(),
  ];
  await eventually(() => expect(messages().length).toBeGreaterThanOrEqual(ids.length), wait);
  await new Promise((resolve) => setTimeout(resolve, 500)); // a repeat would come right behind
  expect(
    messages()
      .map(({ messageId }) => messageId.split(":")[0])
      .sort(),
  ).toEqual(expected);
  return stored;
}
