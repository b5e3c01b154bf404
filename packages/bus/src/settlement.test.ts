import { type Problem, RETRIES } from "@millrace/contracts";
import { describe, expect, it } from "vitest";
import type { Outgoing } from "./outgoing.ts";
import { settlement } from "./settlement.ts";
import { done, reject, retry } from "./verdict.ts";

const letter = (problem: Problem) => ({ subject: problem.code }) as Outgoing;
const given = { subject: "given" } as Outgoing;

describe("settlement", () => {
  const rows = [
    ["done", done(given), 1, { emit: [given], action: { kind: "ack" }, outcome: "done" }],
    [
      "reject",
      reject("model-failed", "x"),
      1,
      { emit: [{ subject: "model-failed" }], action: { kind: "ack" }, outcome: "model-failed" },
    ],
    [
      "first retry",
      retry("delivery", "x"),
      1,
      { emit: [], action: { kind: "nak", delay_ms: 1_000 }, outcome: "retry" },
    ],
    [
      "retry as asked",
      retry("delivery", "x", 9_000),
      1,
      { emit: [], action: { kind: "nak", delay_ms: 9_000 }, outcome: "retry" },
    ],
    [
      "retry not before the table says",
      retry("delivery", "x", 1),
      1,
      { emit: [], action: { kind: "nak", delay_ms: 1_000 }, outcome: "retry" },
    ],
    [
      "later retry",
      retry("delivery", "x"),
      3,
      { emit: [], action: { kind: "nak", delay_ms: 30_000 }, outcome: "retry" },
    ],
    [
      "last retry",
      retry("delivery", "x"),
      7,
      { emit: [{ subject: "delivery-exhausted" }], action: { kind: "ack" }, outcome: "delivery-exhausted" },
    ],
    [
      "infrastructure is held",
      retry("infrastructure", "x"),
      1,
      { emit: [], action: { kind: "hold", delay_ms: 250 }, outcome: "retry" },
    ],
    [
      "infrastructure never gives up",
      retry("infrastructure", "x"),
      1_000,
      { emit: [], action: { kind: "hold", delay_ms: 15_000 }, outcome: "retry" },
    ],
  ] as const;
  it.each(rows)("%s", (_name, verdict, tries, expected) => {
    const counts = verdict.kind === "retry" && verdict.retry === "infrastructure";
    expect(settlement(verdict, counts ? { attempt: 1, tries } : { attempt: tries, tries: 1 }, letter)).toEqual(
      expected,
    );
  });

  it("has a delay for every try it allows", () => {
    expect(RETRIES.delivery.delays_ms).toHaveLength(RETRIES.delivery.attempts_max - 1);
  });
});
