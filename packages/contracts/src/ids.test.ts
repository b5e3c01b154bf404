import { describe, expect, it } from "vitest";
import { effectId, freshRequestId, outcomeId, requestIdFor, rowId } from "./ids.ts";
import { isToken } from "./subjects.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("a fresh request id", () => {
  it("is a UUIDv7 that may stand in a subject", () => {
    const id = freshRequestId();
    expect(UUID.exec(id)?.[1]).toBe("7");
    expect(isToken(id)).toBe(true);
  });
  it("begins with the time, so that ids sort by it", () => {
    const times = [0, 1, 0xffff_ffff, Date.now(), 2 ** 48 - 1];
    const ids = times.map((time) => freshRequestId(time));
    expect(ids.toSorted()).toEqual(ids);
    expect(ids.map((id) => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16))).toEqual(times);
  });
  it("is never the same twice", () => {
    expect(new Set(Array.from({ length: 10_000 }, () => freshRequestId(5))).size).toBe(10_000);
  });
});

describe("the id of an idempotency key", () => {
  const of = { tenant: "acme", project: "plant", model: "sum", key: "k" };
  it("is a UUIDv8, the same on every machine and for ever", () => {
    expect(requestIdFor(of)).toBe(requestIdFor({ ...of }));
    expect(UUID.exec(requestIdFor(of))?.[1]).toBe("8");
    // Written down: a change of this value would accept every retained key a second time.
    expect(requestIdFor(of)).toBe("8572dcbf-7298-853a-8113-79cb0efd58f8");
  });
  it("differs when any part differs, and when text moves between parts", () => {
    const ids = [
      of,
      { ...of, tenant: "b" },
      { ...of, project: "b" },
      { ...of, model: "b" },
      { ...of, key: "b" },
      { ...of, tenant: "acmep", project: "lant" },
      { ...of, model: "sumk", key: "" },
    ].map(requestIdFor);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

it("names of outcomes, effects and rows are derived, never invented", () => {
  expect(outcomeId("r", 2)).toBe("r.2");
  expect(effectId(outcomeId("r", 1), "topic-a")).toBe("r.1:topic-a");
  expect(rowId("r", 0)).toBe("r#0");
});
