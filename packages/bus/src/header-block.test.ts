import { headers } from "nats";
import { expect, it } from "vitest";
import { type Field, HeaderBlock } from "./header-block.ts";

const FIELDS: Field[] = [
  ["Nats-Expected-Last-Subject-Sequence", "0"],
  ["ce-id", "0190-é"],
  ["traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
];

it("is the block that the client would have written, and reads like its headers", () => {
  const theirs = headers();
  for (const [name, value] of [["Nats-Batch-Id", "b"] as const, ...FIELDS]) theirs.append(name, value);
  const ours = new HeaderBlock(FIELDS).after([["Nats-Batch-Id", "b"]]);
  const encoded = (theirs as unknown as { encode(): Uint8Array }).encode();
  expect(Buffer.from(ours.encode()).toString()).toBe(Buffer.from(encoded).toString());
  expect([...ours]).toEqual([...theirs]);
  for (const name of ["ce-id", "Nats-Batch-Id", "none"])
    expect([ours.get(name), ours.has(name), ours.values(name), ours.last(name)]).toEqual([
      theirs.get(name),
      theirs.has(name),
      theirs.values(name),
      theirs.last(name) ?? "",
    ]);
});

it.each(["a\nb", "a\rb", "a\r\nNats-Rollup: all"])("refuses %j in a value and in a name", (bad) => {
  expect(() => new HeaderBlock([["name", bad]])).toThrow(TypeError);
  expect(() => new HeaderBlock([[bad, "value"]])).toThrow(TypeError);
  expect(() => new HeaderBlock([]).after([["name", bad]])).toThrow(TypeError);
});
