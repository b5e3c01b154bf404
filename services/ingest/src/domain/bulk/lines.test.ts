import { expect, it } from "vitest";
import { LineSplitter } from "./lines.ts";

const split = (text: string, size: number, length_max = 10) => {
  const lines = new LineSplitter(length_max);
  const found = [];
  for (let at = 0; at < text.length; at += size) found.push(...lines.feed(text.slice(at, at + size)));
  return [...found, ...lines.end()].map(({ number, text, tooLong }) => [number, tooLong ? "too long" : text]);
};

it("numbers lines from 1, however the text is cut", () => {
  const text = `one\n\ntwo\r\n${"x".repeat(10)}\n${"y".repeat(11)}\nlast`;
  for (let size = 1; size <= text.length; size++)
    expect(split(text, size)).toEqual([
      [1, "one"],
      [2, ""],
      [3, "two\r"],
      [4, "x".repeat(10)],
      [5, "too long"],
      [6, "last"],
    ]);
});

it("ends with the last line feed when nothing follows it, and tells of a long line that has none", () => {
  expect(split("a\n", 1)).toEqual([[1, "a"]]);
  expect(split("", 1)).toEqual([]);
  expect(split("z".repeat(1_000), 7)).toEqual([[1, "too long"]]);
});
