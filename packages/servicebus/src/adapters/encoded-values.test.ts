import { expect, test } from "vitest";
import { checkValue, endOfValue } from "./encoded-values.ts";
import { type Typed, types } from "./rhea.ts";

function encode(value: Typed): Buffer {
  const writer = new types.Writer();
  writer.write(value);
  return writer.toBuffer();
}

const good = [
  types.wrap_string("text"),
  types.wrap_long(-1),
  types.wrap_uuid(Buffer.alloc(16)),
  types.wrap_boolean(true),
  types.wrap_list([1, null, "x", [2, []]]),
  types.wrap({ a: 1, b: { c: new Date() } }),
  types.wrap_array([1, 2, 3], 0x71),
  types.described(types.wrap_ulong(0x73), types.wrap_list(["m", null])),
];

test.each(good.map(encode))("a whole value passes, and ends where the next one begins (%o)", (encoded) => {
  const followed = Buffer.concat([encoded, Buffer.from([0x40])]);
  expect(checkValue(followed, 0)).toBe(encoded.length);
  expect(endOfValue(followed, 0)).toBe(encoded.length);
});

test.each(good.map(encode))("one that is cut short does not, wherever that is (%o)", (encoded) => {
  for (let length = 0; length < encoded.length; length++) {
    expect(() => checkValue(encoded.subarray(0, length), 0)).toThrow(RangeError);
  }
});

test.each([
  ["an array of four thousand million values without bytes", [0xf0, 0, 0, 0, 5, 255, 255, 255, 255, 0x41]],
  ["a list of more values than it has", [0xc0, 2, 9, 0x40]],
  ["a list of fewer values than it has", [0xc0, 3, 1, 0x40, 0x40]],
  ["a value that ends after the list it is in", [0xc0, 3, 1, 0xa0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ["a type that does not exist", [0x46]],
  ["descriptors that describe descriptors", Array(100).fill(0)],
  ["lists in lists without end", Array.from({ length: 60 }, (_, n) => [0xc0, 3 * (60 - n), 1]).flat()],
])("%s is refused", (_what, bytes) => {
  expect(() => checkValue(Buffer.from(bytes), 0)).toThrow(RangeError);
});
