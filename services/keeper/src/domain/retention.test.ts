import { expect, test } from "vitest";
import { mayRetireEvent, mayRetireOutcome, mayRetireRequest, type RequestFacts } from "./retention.ts";

const NOW = 1_000_000;
const times = { outcomes_ms: 1_000 };
const young = NOW - 10;
const old = NOW - 1_000;
const outcome = (state: "done" | "dead", stored_ms = young, attempt = 1) => ({ attempt, state, stored_ms });

test.each([
  ["without an outcome", { outcome: undefined }, "pending"],
  ["redriven, and the new attempt has no outcome", { attempt: 2, outcome: outcome("dead") }, "pending"],
  ["done", { outcome: outcome("done") }, true],
  ["done at a later attempt", { outcome: outcome("done", young, 2) }, true],
  ["a dead letter that nobody has decided about", { outcome: outcome("dead") }, "open-dead-letter"],
  ["a dead letter whose time is over", { outcome: outcome("dead", old) }, true],
  ["a discarded dead letter", { outcome: outcome("dead"), decision: "discarded" }, true],
  ["a redrive without its request", { outcome: outcome("dead"), decision: "redriven" }, "unfinished-redrive"],
  ["an old redrive without its request", { outcome: outcome("dead", old), decision: "redriven" }, "unfinished-redrive"],
  ["a redrive with its request", { outcome: outcome("dead"), decision: "redriven", lastAttempt: 2 }, true],
] as [string, Partial<RequestFacts>, true | string][])("a request that is %s: %s", (_name, facts, expected) => {
  const { outcome, ...rest } = facts;
  const verdict = mayRetireRequest(
    { attempt: 1, lastAttempt: 1, ...rest, ...(outcome ? { outcome } : {}) },
    NOW,
    times,
  );
  expect(verdict).toEqual(expected === true ? { retire: true } : { retire: false, why: expected });
});

test("an outcome stays while anything needs it", () => {
  expect(mayRetireOutcome({ requestRetained: true, deliveryRetained: false }).retire).toBe(false);
  expect(mayRetireOutcome({ requestRetained: false, deliveryRetained: true }).retire).toBe(false);
  expect(mayRetireOutcome({ requestRetained: false, deliveryRetained: false }).retire).toBe(true);
});

test("a decision stays with its dead letter; other events go", () => {
  expect(mayRetireEvent({ isDecision: true, outcomeRetained: true }).retire).toBe(false);
  expect(mayRetireEvent({ isDecision: true, outcomeRetained: false }).retire).toBe(true);
  expect(mayRetireEvent({ isDecision: false, outcomeRetained: true }).retire).toBe(true);
});
