import { decodeOutcome, encodeDone, outcomeId } from "@millrace/contracts";
import { doneRecord, type StoredOutcome } from "@millrace/testkit";
import { expect, test } from "vitest";
import { type Ends, makeBooks } from "./books.ts";

const IDS = ["a", "b", "c"];

function stored(id: string, sequence: number): StoredOutcome {
  const body = encodeDone(doneRecord({ id }), "json");
  const decoded = decodeOutcome(body);
  if (!decoded.ok) throw new Error(decoded.problem.detail);
  return { sequence, subject: `out.demo.plant-a.m.${id}.done`, outcome: decoded.value, body };
}

function allOnce(): { [End in keyof Required<Ends>]: Required<Ends>[End][number][] } {
  const outcomes = IDS.map((id, index) => stored(id, index + 1));
  return {
    accepted: [...IDS],
    outcomes,
    ledger: IDS.map((id) => ({ id: outcomeId(id, 1) })),
    messages: outcomes.map(({ outcome, body, sequence }) => ({
      messageId: `${outcomeId(outcome.id, 1)}:predictions`,
      sequenceNumber: String(sequence),
      body: Buffer.from(body.bytes),
    })),
    webhooks: IDS.map((id) => ({ id: `${outcomeId(id, 1)}:every`, bytes: Buffer.from(id) })),
  };
}

test("the books balance when every end has each accepted request once", () => {
  const books = makeBooks({ ...allOnce(), accepted: [...IDS, "a"] });
  expect(books).toMatchObject({
    balanced: true,
    accepted: { answers: 4, ids: 3 },
    outcomes: { stored: 3, ids: 3, done: 3, dead: 0 },
    ledger: { rows: 3, ids: 3 },
    messages: { stored: 3, ids: 3, contents_per_id_max: 1, redelivered: 0 },
    webhooks: { received: 3, ids: 3, contents_per_id_max: 1, repeated: 0 },
  });
});

test("what a receiver can tell is a repeat is counted, and no fault", () => {
  const ends = allOnce();
  ends.messages.push(ends.messages[0]!);
  ends.webhooks.push(ends.webhooks[1]!);
  const books = makeBooks(ends);
  expect(books.balanced).toBe(true);
  expect(books.messages.redelivered).toBe(1);
  expect(books.webhooks?.repeated).toBe(1);
});

test.each<[string, (ends: ReturnType<typeof allOnce>) => unknown, "lost" | "doubled" | "unknown", string]>([
  ["an outcome is missing", (ends) => ends.outcomes.pop(), "lost", "outcomes c"],
  ["an id has two outcomes", (ends) => ends.outcomes.push(stored("a", 9)), "doubled", "outcomes a (2)"],
  ["a ledger row is missing", (ends) => ends.ledger.pop(), "lost", "ledger c"],
  ["a ledger row is there twice", (ends) => ends.ledger.push(ends.ledger[0]!), "doubled", "ledger a (2)"],
  ["a message is missing", (ends) => ends.messages.shift(), "lost", "messages a"],
  [
    "a message was stored twice",
    (ends) => ends.messages.push({ ...ends.messages[0]!, sequenceNumber: "9" }),
    "doubled",
    "messages a (2)",
  ],
  [
    "a message has other bytes than its outcome",
    (ends) => ends.messages.splice(0, 1, { ...ends.messages[0]!, body: Buffer.from("{}") }),
    "doubled",
    "message a.1:predictions is not its outcome",
  ],
  ["a webhook is missing", (ends) => ends.webhooks.pop(), "lost", "webhooks c"],
  [
    "a webhook came with two contents",
    (ends) => ends.webhooks.push({ ...ends.webhooks[0]!, bytes: Buffer.from("other") }),
    "doubled",
    "webhook contents a.1:every (2)",
  ],
  [
    "a webhook came under two ids",
    (ends) => ends.webhooks.push({ ...ends.webhooks[0]!, id: "a.2:every" }),
    "doubled",
    "webhooks a (2)",
  ],
  ["something came that nobody asked for", (ends) => ends.accepted.pop(), "unknown", "outcomes c"],
])("the books do not balance when %s", (_what, harm, where, finding) => {
  const ends = allOnce();
  harm(ends);
  const books = makeBooks(ends);
  expect(books.balanced).toBe(false);
  expect(books[where].first).toContain(finding);
});
