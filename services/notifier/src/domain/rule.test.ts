import { type Condition, decodeOutcome, type EncodedBody, encodeDone, type Tensor } from "@millrace/contracts";
import { doneRecord } from "@millrace/testkit";
import { describe, expect, it } from "vitest";
import { matchOf, ROWS_MAX } from "./rule.ts";

const risk = (values: number[], shape = [values.length, 1]): Tensor => ({
  name: "risk",
  datatype: "FP64",
  shape,
  data: Float64Array.from(values),
});

function matched(when: Condition | undefined, tensor: Tensor, form: "json" | "binary" = "json") {
  const body: EncodedBody = encodeDone(doneRecord({ id: "r", outputs: [tensor] }), form);
  const record = decodeOutcome(body);
  if (!record.ok) throw new Error(record.problem.detail);
  return matchOf(when ? { when } : {}, record.value, body);
}

const atLeast = (value: number): Condition => ({ output: "risk", op: ">=", value });

describe("matchOf", () => {
  it.each(["json", "binary"] as const)("names each row that meets the condition (%s)", (form) =>
    expect(matched(atLeast(0.8), risk([0.1, 0.8, 0.95]), form)).toEqual({
      ok: true,
      value: {
        rows_matched: 2,
        rows: [
          { id: "r#1", row: 1, value: 0.8 },
          { id: "r#2", row: 2, value: 0.95 },
        ],
      },
    }),
  );

  it.each([
    [">=", 0.5, true],
    [">", 0.5, false],
    ["<=", 0.5, true],
    ["<", 0.5, false],
    ["==", 0.5, true],
  ] as const)("%s %d on 0.5: %s", (op, value, expected) => {
    const match = matched({ output: "risk", op, value }, risk([0.5]));
    expect(match.ok && match.value !== undefined).toBe(expected);
  });

  it("looks at every value of a row", () =>
    expect(matched(atLeast(5), risk([1, 2, 3, 4, 5, 6], [2, 3]))).toMatchObject({
      value: { rows_matched: 1, rows: [{ id: "r#1", value: 5 }] },
    }));

  it("counts all rows, and names a bounded number", () => {
    const match = matched(atLeast(0), risk(new Array(500).fill(1)));
    expect(match).toMatchObject({ value: { rows_matched: 500 } });
    expect(match.ok && match.value?.rows).toHaveLength(ROWS_MAX);
  });

  it("passes over an outcome that lacks the output", () =>
    expect(matched({ output: "other", op: ">", value: 0 }, risk([1]))).toEqual({ ok: true, value: undefined }));

  it("matches anything without a condition", () =>
    expect(matched(undefined, risk([1]))).toEqual({ ok: true, value: { rows_matched: 0, rows: [] } }));
});
