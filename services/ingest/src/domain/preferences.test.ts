import { describe, expect, it } from "vitest";
import { deadlineOf, idempotencyKey, prefersBinary, waitPreference } from "./preferences.ts";

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

describe("a deadline", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  it.each<[string | undefined, number | undefined | string]>([
    [undefined, undefined],
    ["2026-11-21T12:00:01Z", now + 1_000],
    ["2026-11-21T13:00:00.5+01:00", now + 500],
    ["2026-11-21T12:00:00Z", "invalid-header"],
    ["2026-11-21T13:00:00+02:00", "invalid-header"],
    ["2026-13-21T13:00:00Z", "invalid-header"],
    ["2026-11-21T25:00:00Z", "invalid-header"],
  ])("%s is %s", (header, expected) => {
    const deadline = deadlineOf(header, now);
    expect(deadline.ok ? deadline.value : deadline.problem.code).toBe(expected);
  });
});
