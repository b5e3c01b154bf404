import { describe, expect, it } from "vitest";
import { attemptOf } from "./delivery.ts";

const NOW = Date.parse("2026-11-21T12:00:00Z");

describe("what an answer means", () => {
  it.each([
    [200, "delivered"],
    [204, "delivered"],
    [301, "refused"],
    [307, "refused"],
    [400, "refused"],
    [404, "refused"],
    [410, "refused"],
    [408, "failed"],
    [429, "failed"],
    [500, "failed"],
    [503, "failed"],
  ])("%i: %s", (status, kind) => expect(attemptOf({ status }, NOW).kind).toBe(kind));

  it.each([
    ["7", 7_000],
    ["Sat, 21 Nov 2026 12:00:30 GMT", 30_000],
    ["Sat, 21 Nov 2026 11:00:00 GMT", 0],
    ["999999999", 600_000],
    ["soon", undefined],
  ])("retry-after %s is %s ms, within bounds", (retryAfter, after_ms) =>
    expect(attemptOf({ status: 429, retryAfter }, NOW)).toEqual({
      kind: "failed",
      why: "the receiver answered 429",
      ...(after_ms === undefined ? {} : { after_ms }),
    }),
  );
});
