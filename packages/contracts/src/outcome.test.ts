import { describe, expect, it } from "vitest";
import { canonicalBytes } from "./canonical.ts";
import { ERRORS, type ErrorCode } from "./errors.ts";
import {
  type DeadOutcome,
  type DoneRecord,
  decodeOutcome,
  encodeDead,
  encodeDone,
  outputsOf,
  reasonOf,
} from "./outcome.ts";

const digest = `sha256:${"0".repeat(64)}`;
const common = {
  id: "r",
  attempt: 1,
  tenant: "acme",
  project: "plant",
  request: {
    digest,
    stream: "REQUESTS_TENSOR",
    sequence: 1,
    subject: "req.tensor.normal.acme.plant.sum.r",
    accepted_at: "2026-11-21T12:00:00.000Z",
    correlation_id: "r",
  },
  completed_at: "2026-11-21T12:00:00.100Z",
};
const done: DoneRecord = {
  ...common,
  model: { name: "sum", version: "1", digest },
  runtime: { backend: "tensorflow-native", version: "2.16.2" },
  timing: { started_at: "2026-11-21T12:00:00.050Z", compute_ms: 0.5, batch_rows: 64 },
  outputs: [
    { name: "a", datatype: "FP32", shape: [2, 2], data: new Float32Array([0.1, 2, 3, 4]) },
    { name: "b", datatype: "BOOL", shape: [2], data: new Uint8Array([1, 0]) },
  ],
};
const dead: DeadOutcome = {
  ...common,
  state: "dead",
  model: { name: "sum" },
  reason: reasonOf("model-failed", "it cannot", "/inputs/0"),
  deliveries: 2,
};

describe("an outcome", () => {
  it.each(["json", "binary"] as const)("with %s outputs is read back the same, to the bit", (form) => {
    const body = encodeDone(done, form);
    expect(body.headerLength === undefined).toBe(form === "json");
    const record = decodeOutcome(body);
    if (!record.ok || record.value.state !== "done") throw new Error("not a result");
    expect(outputsOf(record.value, body)).toEqual({ ok: true, value: done.outputs });
    const { outputs: _outputs, ...rest } = done;
    expect(record.value).toMatchObject({ ...rest, state: "done" });
    // What is stored is canonical already: reading and writing again changes no byte.
    const json = body.bytes.subarray(0, body.headerLength ?? body.bytes.length);
    expect(Buffer.compare(canonicalBytes(record.value), json)).toBe(0);
  });

  it("may be a dead letter with its reason", () => {
    expect(decodeOutcome(encodeDead(dead))).toEqual({ ok: true, value: dead });
    expect(dead.reason).toEqual({ ...pick("model-failed"), detail: "it cannot", at: "/inputs/0" });
    expect(reasonOf("internal", "x".repeat(5_000)).detail).toHaveLength(2_000);
  });

  it.each([
    ["no JSON", Buffer.from("nonsense"), "malformed-json"],
    ["another state", canonicalBytes({ ...dead, state: "maybe" }), "malformed-message"],
    ["a field too many", canonicalBytes({ ...dead, more: 1 }), "malformed-message"],
    ["an id that is no token", canonicalBytes({ ...dead, id: "a.b" }), "malformed-message"],
  ])("is not %s", (_what, bytes, code) => {
    expect(decodeOutcome({ bytes })).toMatchObject({ ok: false, problem: { code } });
  });
});

const pick = (code: ErrorCode) => ({ code, title: ERRORS[code].title, fix: ERRORS[code].fix });

it("a reason that quotes half a character has a canonical form", () => {
  let quoted = "";
  try {
    JSON.parse("\u{1f4a9}");
  } catch (cause) {
    quoted = (cause as Error).message;
  }
  expect(quoted.isWellFormed()).toBe(false);
  expect(() => canonicalBytes(reasonOf("malformed-json", quoted))).not.toThrow();
  const cut = `${"x".repeat(1_999)}\u{1f4a9}`;
  expect(() => canonicalBytes(reasonOf("malformed-json", cut, "/\ud800"))).not.toThrow();
});
