import { describe, expect, it } from "vitest";
import {
  eventSubject,
  isToken,
  liveSubject,
  OUTCOME_STATES,
  outcomeFilter,
  outcomeSubject,
  outcomesOf,
  PRIORITIES,
  parseOutcomeSubject,
  parseRequestSubject,
  RUNNER_KINDS,
  requestSubject,
  requestsOf,
} from "./subjects.ts";

const address = { tenant: "acme", project: "plant-7", model: "risk_1", id: "0A-z_9" };
/** What would reach another subject, or none, if it were let through. */
const HOSTILE = ["", ".", "*", ">", "a.b", "a b", "a\n", "a\0", "ä", "%2E", "x".repeat(65), "acme.>", "a*", "\u2024"];

/** Whether a NATS filter matches a subject. */
const matches = (filter: string, subject: string) => {
  const [f, s] = [filter.split("."), subject.split(".")];
  return f.length === s.length && f.every((token, i) => token === "*" || token === s[i]);
};

describe("subjects", () => {
  it("say who a request belongs to, and are read back the same", () => {
    for (const kind of RUNNER_KINDS)
      for (const priority of PRIORITIES) {
        const of = { ...address, kind, priority };
        expect(parseRequestSubject(requestSubject(of))).toEqual(of);
        expect(matches(requestsOf({ kind, ...address }), requestSubject(of))).toBe(true);
        expect(matches(requestsOf({ kind, model: "other" }), requestSubject(of))).toBe(false);
      }
    for (const state of OUTCOME_STATES) {
      const of = { ...address, state };
      expect(parseOutcomeSubject(outcomeSubject(of))).toEqual(of);
      expect(parseOutcomeSubject(outcomeSubject(of).replace("out.", "live."))).toEqual(of);
      expect(matches(outcomeFilter(address), outcomeSubject(of))).toBe(true);
      expect(matches(outcomesOf({ tenant: "acme" }), outcomeSubject(of))).toBe(true);
      expect(matches(liveSubject(address), outcomeSubject(of).replace("out.", "live."))).toBe(true);
    }
  });

  it.each(HOSTILE)("are never built from %j", (token) => {
    expect(isToken(token)).toBe(false);
    for (const part of ["tenant", "project", "model", "id"] as const) {
      const of = { ...address, [part]: token };
      expect(() => requestSubject({ ...of, kind: "tensor", priority: "normal" })).toThrow(/not a subject token/);
      expect(() => outcomeSubject({ ...of, state: "done" })).toThrow(/not a subject token/);
      expect(() => outcomeFilter(of)).toThrow(/not a subject token/);
    }
    expect(() => eventSubject({ tenant: "a", project: "b", kind: "delivery", detail: [token] })).toThrow();
  });

  it.each([
    "req.tensor.normal.acme.plant.risk",
    "req.tensor.normal.acme.plant.risk.id.more",
    "req.tensor.urgent.acme.plant.risk.id",
    "req.audio.normal.acme.plant.risk.id",
    "out.tensor.normal.acme.plant.risk.id",
    "req.tensor.normal..plant.risk.id",
    "req.tensor.normal.*.plant.risk.id",
    "",
  ])("%j is not the subject of a request", (subject) => expect(parseRequestSubject(subject)).toBeUndefined());

  it.each(["out.a.b.c.d", "out.a.b.c.d.lost", "out.a.b.c.d.done.x", "req.a.b.c.d.done", "out.a..c.d.done"])(
    "%j is not the subject of an outcome",
    (subject) => expect(parseOutcomeSubject(subject)).toBeUndefined(),
  );
});

describe("filters made from parts of a call", () => {
  it.each(HOSTILE.filter((token) => token !== ""))("refuse %j, which would widen them", (token) => {
    expect(() => liveSubject({ ...address, tenant: token })).toThrow(/not a subject token/);
    expect(() => outcomesOf({ ...address, tenant: token })).toThrow(/not a subject token/);
    expect(() => requestsOf({ kind: "tensor", ...address, id: token })).toThrow(/not a subject token/);
  });
});
