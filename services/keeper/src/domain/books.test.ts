import type { ConsumerState } from "@millrace/bus";
import { CONSUMER_METADATA } from "@millrace/contracts";
import { beforeEach, expect, test } from "vitest";
import { Books } from "./books.ts";

const consumer = (over: Partial<ConsumerState>): ConsumerState => ({
  stream: "REQUESTS_TENSOR",
  name: "inference=tensor=normal=acme=pump",
  filters: ["req.tensor.normal.acme.*.pump.*"],
  headers_only: false,
  acknowledged_sequence: 5,
  delivered_sequence: 5,
  deliveries: 5,
  pending: 0,
  ack_pending: 0,
  redelivered: 0,
  waiting: 1,
  created_ms: 0,
  begins_new: false,
  metadata: {},
  ...over,
});
const alarm = consumer({
  stream: "OUTCOMES",
  name: "notifier-alarm",
  filters: ["out.acme.*.*.*.*"],
  metadata: { [CONSUMER_METADATA.effect]: "each", [CONSUMER_METADATA.since]: new Date(0).toISOString() },
});

let books: Books;
beforeEach(() => {
  books = new Books({
    consumers: { work: [consumer({})], outcomes: [alarm] },
    isRetired: ({ sequence }) => sequence < 0,
    seed: 1,
  });
});

const request = (id: string, sequence: number, over: { attempt?: number; tenant?: string; old?: boolean } = {}) => {
  const { attempt = 1, tenant = "acme", old = false } = over;
  const key = `${tenant}.plant.pump.${id}`;
  books.request({ stream: "REQUESTS_TENSOR", key, subject: `req.tensor.normal.${key}`, sequence, attempt, old });
};
const outcome = (id: string, sequence: number, over: { attempt?: number; state?: string; old?: boolean } = {}) =>
  books.outcome({
    subject: `out.acme.plant.pump.${id}.${over.state ?? "done"}`,
    sequence,
    attempt: over.attempt ?? 1,
    stored_ms: 1_000,
    request: { stream: "REQUESTS_TENSOR", sequence: 1 },
    old: over.old ?? false,
  });
const delivered = (id: string, sequence: number, attempt = 1) =>
  books.event({ subject: `evt.acme.plant.delivery.alarm.${id}.${attempt}`, sequence });

test("accepted = done + dead + pending, and nothing is suspect", () => {
  for (const [index, id] of ["a", "b"].entries()) delivered(id, index + 1);
  request("a", 1);
  request("b", 2);
  request("c", 6);
  outcome("a", 1);
  outcome("b", 2, { state: "dead" });
  const { ids, dead_letters, effects } = books.close();
  expect(ids).toEqual({ accepted: 3, done: 1, dead: 1, pending: 1 });
  expect(dead_letters).toEqual({ open: 1, redriven: 0, discarded: 0 });
  expect(effects.get("notifier-alarm")).toEqual({ outcomes: 2, recorded: 2 });
  for (const kind of [
    "lost-request",
    "outcome-without-request",
    "effect-without-outcome",
    "outcome-without-effect",
  ] as const)
    expect(books.suspects.of(kind).total, kind).toBe(0);
});

test("an acknowledged request without outcome is suspect, and one that no worker is given", () => {
  request("acknowledged", 5);
  request("waiting", 6);
  request("no-lane", 7, { tenant: "other", old: true });
  request("new-lane", 8, { tenant: "another" });
  expect(books.close().ids.pending).toBe(4);
  expect(books.suspects.of("lost-request").first).toEqual(
    expect.arrayContaining([
      { stream: "REQUESTS_TENSOR", sequence: 5, why: "acknowledged" },
      { stream: "REQUESTS_TENSOR", sequence: 7, why: "no-worker" },
    ]),
  );
  expect(books.suspects.of("lost-request").total).toBe(2);
});

test("a redrive makes its id pending, and the next outcome ends it", () => {
  books.event({ subject: "evt.acme.plant.dead-letter.pump.a.1", sequence: 1, decision: "redriven" });
  books.event({ subject: "evt.acme.plant.dead-letter.pump.b.1", sequence: 2, decision: "redriven" });
  for (const [sequence, id] of [
    [1, "a"],
    [2, "b"],
  ] as const)
    request(id, sequence);
  request("a", 6, { attempt: 2 });
  request("b", 7, { attempt: 2 });
  outcome("a", 1, { state: "dead", old: true });
  outcome("b", 2, { state: "dead", old: true });
  outcome("b", 6, { attempt: 2 });
  expect(books.close()).toMatchObject({
    ids: { accepted: 2, done: 1, dead: 0, pending: 1 },
    dead_letters: { open: 0, redriven: 2, discarded: 0 },
  });
  expect(books.suspects.of("unfinished-redrive").total).toBe(0);
});

test("a request that was put back behind its own outcome is answered", () => {
  request("a", 3);
  request("a", 9);
  outcome("a", 1, { old: true });
  expect(books.close().ids).toEqual({ accepted: 1, done: 1, dead: 0, pending: 0 });
});

test("a decision to redrive whose request is not there is suspect", () => {
  books.event({ subject: "evt.acme.plant.dead-letter.pump.a.1", sequence: 1, decision: "redriven" });
  request("a", 1);
  outcome("a", 1, { state: "dead", old: true });
  books.close();
  expect(books.suspects.of("unfinished-redrive").first).toEqual([{ sequence: 1 }]);
});

test("deliveries without outcome and outcomes without delivery are suspect", () => {
  delivered("ghost", 1);
  delivered("a", 2);
  request("a", 1);
  request("b", 2);
  outcome("a", 1);
  outcome("b", 2);
  outcome("later", 6);
  books.close();
  expect(books.suspects.of("effect-without-outcome").first).toEqual([{ sequence: 1 }]);
  expect(books.suspects.of("outcome-without-effect").first).toEqual([{ sequence: 2, consumer: "notifier-alarm" }]);
  expect(books.suspects.of("outcome-without-request").total).toBe(1);
});
