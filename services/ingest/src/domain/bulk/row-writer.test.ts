import { decodeRequest, LIMITS, type TensorSignature } from "@millrace/contracts";
import { describe, expect, it } from "vitest";
import { type RowWriter, rowWriter } from "./row-writer.ts";

const input = (more: Partial<TensorSignature> = {}): TensorSignature => ({
  name: "x",
  datatype: "FP32",
  shape: [-1, 2],
  features: ["a", "b"],
  ...more,
});

function writerOf(signature: TensorSignature[], packed = true): RowWriter {
  const writer = rowWriter(signature, packed);
  if (!writer.ok) throw new Error(writer.problem.detail);
  return writer.value;
}

/** The rows of each input as they stand in the request that the writer makes. */
function taken(writer: RowWriter, signature: TensorSignature[]) {
  const decoded = decodeRequest(writer.take(), signature);
  if (!decoded.ok) throw new Error(decoded.problem.detail);
  return Object.fromEntries(decoded.value.inputs.map(({ name, data }) => [name, [...data]]));
}

describe("a row writer", () => {
  it.each([true, false])("makes requests that the codec takes (packed: %s)", (packed) => {
    const signature = [input(), input({ name: "on", datatype: "BOOL", shape: [-1, 1], features: ["on"] })];
    const writer = writerOf(signature, packed);
    expect(writer.writeJson({ a: 1, b: 2, on: true })).toBeUndefined();
    expect(taken(writer, signature)).toEqual({ x: [1, 2], on: [1] });
    expect(writer.rows).toBe(0);
  });

  it("leaves nothing of a bad row in the next one", () => {
    const signature = [input()];
    const writer = writerOf(signature);
    expect(writer.writeJson([9, 9])).toBeUndefined();
    expect(writer.writeJson({ a: 7, b: "x" })).toMatchObject({ code: "wrong-value", at: "/b" });
    expect(writer.writeJson({ b: 2, a: 1 })).toBeUndefined();
    expect(taken(writer, signature)).toEqual({ x: [9, 9, 1, 2] });
  });

  it("is full at 512 rows, or at 256 KiB", () => {
    const count = (signature: TensorSignature[], row: number[]) => {
      const writer = writerOf(signature);
      while (!writer.full) writer.writeJson(row);
      return writer.rows;
    };
    expect(count([input()], [1, 2])).toBe(512);
    const wide = input({ shape: [-1, 1_000], features: [] });
    expect(count([wide], Array(1_000).fill(1))).toBe(Math.floor(LIMITS.bulk.pack_bytes / 4_000));
    expect(rowWriter([input({ shape: [-1, 1_000_000] })], true)).toMatchObject({ problem: { code: "body-too-large" } });
    expect(rowWriter([input({ shape: [-1, -1] })], true)).toMatchObject({ problem: { code: "wrong-shape" } });
  });

  it.each<[unknown, string]>([
    [{ a: 1 }, "missing-input"],
    [{ a: 1, b: null }, "wrong-value"],
    [{ a: 1, b: [2] }, "wrong-value"],
    [{ a: 1, b: true }, "wrong-value"],
    [{ a: 1, b: 2, c: 3 }, "unknown-input"],
    [{ x: [1, 2], a: 1 }, "unknown-input"],
    [{ x: [1, 2, 3] }, "wrong-shape"],
    [{ x: [[1], ["2"]] }, "wrong-value"],
    [{ x: [[[[1]]], 2] }, "wrong-shape"],
    [JSON.parse('{"a":1,"b":2,"__proto__":3}'), "unknown-input"],
    [[1], "wrong-shape"],
    ["1,2", "wrong-shape"],
  ])("refuses %j", (row, code) => {
    const writer = writerOf([input()]);
    expect(writer.writeJson(row)).toMatchObject({ code });
    expect(writer.rows).toBe(0);
  });

  it("takes a feature of a window as the values over its cycles", () => {
    const signature = [input({ shape: [-1, 3, 2] })];
    const writer = writerOf(signature);
    expect(writer.writeJson({ a: [1, 2, 3], b: [10, 20, 30] })).toBeUndefined();
    expect(taken(writer, signature)).toEqual({ x: [1, 10, 2, 20, 3, 30] });
  });
});
