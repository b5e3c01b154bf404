import {
  type DeadLetterDecision,
  type DeadOutcome,
  digestOf,
  type EncodedBody,
  LIMITS,
  type ModelDeployment,
  type Priority,
  type RedriveDecision,
  reasonOf,
} from "@millrace/contracts";
import { describe, expect, it } from "vitest";
import { SUM } from "../../testing/models.ts";
import type { RedriveBasis, StoredDeadLetter } from "../ports.ts";
import { decidedBefore, discardDecision, isSameDecision, redriveDecision } from "./decisions.ts";

const json = (value: unknown): EncodedBody => ({ bytes: Buffer.from(JSON.stringify(value)) });
/** As it is stored: keys in canonical order. */
const ORIGINAL = json({ inputs: [{ data: [6, 6, 6], datatype: "FP32", name: "reading", shape: [1, 3] }] });
const EDITED = json({ inputs: [{ name: "reading", datatype: "FP32", shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }] });
const WHO = { principal: "alice", at: "2026-11-21T12:00:00.000Z" };

const dead = (over: Partial<DeadOutcome> = {}): StoredDeadLetter => ({
  address: { tenant: "acme", project: "plant", model: "sum", id: "id-1" },
  sequence: 9,
  envelope: {} as StoredDeadLetter["envelope"],
  record: {
    id: "id-1",
    attempt: 3,
    tenant: "acme",
    project: "plant",
    state: "dead",
    model: { name: "sum" },
    reason: reasonOf("model-failed", "a test"),
    deliveries: 1,
    completed_at: "2026-11-21T11:00:00.000Z",
    request: {
      digest: digestOf(ORIGINAL.bytes),
      stream: "REQUESTS_TENSOR",
      sequence: 5,
      subject: "req.tensor.high.acme.plant.sum.id-1",
      accepted_at: "2026-11-21T10:59:59.000Z",
      correlation_id: "order-7",
    },
    ...over,
  },
});
const basis = (over: Partial<RedriveBasis> = {}): RedriveBasis => ({
  payload: ORIGINAL,
  after_sequence: 5,
  original_digest: digestOf(ORIGINAL.bytes),
  ...over,
});
const decide = (
  wish: { payload?: EncodedBody; priority?: Priority; reason?: string } = {},
  of: { dead?: StoredDeadLetter; basis?: RedriveBasis; model?: ModelDeployment } = {},
) => redriveDecision(of.dead ?? dead(), of.basis ?? basis(), of.model ?? SUM, { ...WHO, ...wish });
const decided = (...args: Parameters<typeof decide>): RedriveDecision => {
  const result = decide(...args);
  if (!result.ok) throw new Error(result.problem.detail);
  return result.value;
};

describe("a redrive", () => {
  it("runs the original, at its priority, as the next attempt, on the model that is deployed now", () => {
    expect(decided()).toEqual({
      tenant: "acme",
      project: "plant",
      model: "sum",
      id: "id-1",
      attempt: 3,
      dead_letter_sequence: 9,
      ...WHO,
      decision: "redriven",
      priority: "high",
      next_attempt: 4,
      after_sequence: 5,
      digest: digestOf(ORIGINAL.bytes),
      rows: 1,
      model_version: "3",
      model_digest: SUM.digest,
      edited: false,
    });
  });

  it("carries another payload in the form in which it is stored, and the digest that the key stands for", () => {
    const decision = decided({ payload: EDITED, priority: "low", reason: "mended" });
    expect(decision).toMatchObject({ edited: true, rows: 2, priority: "low", reason: "mended" });
    expect(decision.original_digest).toBe(digestOf(ORIGINAL.bytes));
    const stored = Buffer.from(decision.payload!.base64, "base64");
    expect(digestOf(stored)).toBe(decision.digest);
    expect(JSON.parse(stored.toString())).toEqual(JSON.parse(Buffer.from(EDITED.bytes).toString()));
  });

  it("with the original given again, in whatever form, is a redrive of the original", () => {
    const same = json({ inputs: [{ name: "reading", shape: [1, 3], datatype: "FP32", data: [[6, 6, 6]] }] });
    expect(decided({ payload: same })).toEqual(decided());
  });

  it("carries even the original when its stream does not hold it any more", () => {
    const decision = decided({ payload: ORIGINAL }, { basis: basis({ payload: undefined, after_sequence: 0 }) });
    expect(decision.edited).toBe(false);
    expect(Buffer.from(decision.payload!.base64, "base64")).toEqual(ORIGINAL.bytes);
  });

  it("of a payload that was edited before names the first digest still", () => {
    const again = decided({}, { basis: basis({ original_digest: digestOf(EDITED.bytes) }) });
    expect(again).toMatchObject({ edited: false, original_digest: digestOf(EDITED.bytes) });
  });

  it("of what was no request's subject is normal", () => {
    const { request } = dead().record;
    expect(decided({}, { dead: dead({ request: { ...request, subject: "req.tensor.garbage" } }) }).priority).toBe(
      "normal",
    );
  });

  it("is refused without a payload, or with one that the model would refuse or that does not fit an event", () => {
    expect(decide({}, { basis: basis({ payload: undefined }) })).toMatchObject({ problem: { code: "payload-gone" } });
    expect(decide({ payload: EDITED }, { basis: basis({ payload: undefined }) }).ok).toBe(true);
    expect(decide({}, { basis: basis({ payload: json({}) }) })).toMatchObject({
      problem: { code: "malformed-body", detail: expect.stringContaining("would die again") },
    });
    const [input] = SUM.manifest.inputs;
    const width = 400;
    const wide = { ...SUM, manifest: { ...SUM.manifest, inputs: [{ ...input!, shape: [-1, width], features: [] }] } };
    const rows = Math.ceil(LIMITS.edited_bytes / 4 / width);
    const data = new Array(rows * width).fill(1);
    const payload = json({ inputs: [{ name: "reading", datatype: "FP32", shape: [rows, width], data }] });
    expect(decide({ payload }, { model: wide })).toMatchObject({ problem: { code: "body-too-large" } });
  });
});

describe("a decision", () => {
  const redriven = decided();
  const edited = decided({ payload: EDITED });
  const discarded = discardDecision(dead(), { ...WHO, reason: "known" });
  const wish = (digest: string, priority?: Priority) => ({ decision: "redriven", digest, priority }) as const;

  it.each<[string, DeadLetterDecision, Parameters<typeof isSameDecision>[1], boolean]>([
    ["a redrive of the same payload", redriven, wish(redriven.digest), true],
    ["a redrive at the same priority", redriven, wish(redriven.digest, "high"), true],
    ["a redrive at another priority", redriven, wish(redriven.digest, "low"), false],
    ["a redrive of another payload", edited, wish(redriven.digest), false],
    ["a discard of what was redriven", redriven, { decision: "discarded" }, false],
    ["a redrive of what was discarded", discarded, wish(redriven.digest), false],
    ["a discard again", discarded, { decision: "discarded" }, true],
  ])("%s", (_, stands, wished, same) => {
    expect(isSameDecision(stands, wished)).toBe(same);
  });

  it("that stands is named to whoever wanted another", () => {
    expect(decidedBefore(edited).problem.detail).toBe(
      "attempt 3 of id-1 was redriven with another payload at 2026-11-21T12:00:00.000Z",
    );
  });
});
