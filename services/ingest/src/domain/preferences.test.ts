import { expect, it } from "vitest";
import { idempotencyKey, prefersBinary, waitPreference } from "./preferences.ts";

it.each<[string | undefined, number | undefined]>([
  [undefined, undefined],
  ["wait=10", 10],
  ["wait=0", 0],
  ["respond-async, wait=5", 5],
  ['WAIT = "7"; x=1', 7],
  ["wait=999999999", 60],
  ["wait=-1", undefined],
  ["wait=1.5", undefined],
  ["wait", undefined],
  ["await=3", undefined],
  ["", undefined],
])("Prefer: %s waits %s s", (header, seconds) => expect(waitPreference(header)).toBe(seconds));

it.each([
  ["abc", "abc"],
  ['"abc"', "abc"],
  ['""', '""'],
  ['"', '"'],
  [undefined, undefined],
])("Idempotency-Key: %s is the key %s", (header, key) => expect(idempotencyKey(header)).toBe(key));

it.each<[string | undefined, boolean]>([
  [undefined, false],
  ["*/*", false],
  ["application/json", false],
  ["application/octet-stream", true],
  ["application/octet-stream;q=1", true],
  ["application/octet-stream, application/json", false],
])("Accept: %s wants bytes: %s", (header, binary) => expect(prefersBinary(header)).toBe(binary));
