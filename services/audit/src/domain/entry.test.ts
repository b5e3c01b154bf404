import { encodeDone, outcomeSubject, toHeaders } from "@millrace/contracts";
import { doneRecord } from "@millrace/testkit";
import { expect, test } from "vitest";
import { factsOf, type LedgerMessage, toEntry } from "./entry.ts";

const stored_at = new Date("2026-11-21T12:00:00.500Z");
const message = (over: Partial<LedgerMessage>): LedgerMessage => ({
  stream: "OUTCOMES",
  subject: "out.acme.plant.pump.r.done",
  sequence: 7,
  body: encodeDone(doneRecord({ id: "r" }), "json").bytes,
  stored_at,
  header: () => undefined,
  ...over,
});
const event = (subject: string, body: string, contentType = "application/json") => {
  const headers = toHeaders({
    id: "e-1",
    type: "millrace.delivery.made.v1",
    source: "/millrace/notifier",
    subject,
    time: "2026-11-21T12:00:01.000Z",
    datacontenttype: contentType,
    correlationid: "corr-1",
  });
  return message({ stream: "EVENTS", subject, body: Buffer.from(body), header: (name) => headers[name] });
};

test("an outcome's canonical bytes are the stored bytes, JSON or binary", () => {
  for (const form of ["json", "binary"] as const) {
    const { bytes, headerLength } = encodeDone(doneRecord({ id: "r" }), form);
    const entry = toEntry(message({ body: bytes, ...(headerLength === undefined ? {} : { headerLength }) }));
    expect(entry).toMatchObject({ kind: "outcome", id: "r.1", request_id: "r", model: "pump", state: "done" });
    expect(entry.canonical).toBe(bytes);
    expect(factsOf("outcome", bytes, entry.header_length)).toMatchObject({ subject: entry.subject });
  }
});

test("an event's canonical bytes are its CloudEvents JSON, whatever the white space was", () => {
  const subject = "evt.acme.plant.delivery.alarm.r.1";
  const one = toEntry(event(subject, '{"outcome_id":"r.1","model":"pump"}'));
  const two = toEntry(event(subject, ' { "model": "pump",\n "outcome_id": "r.1" } '));
  expect(one).toMatchObject({ kind: "event", id: "e-1", tenant: "acme", project: "plant", request_id: "r" });
  expect(Buffer.compare(one.canonical, two.canonical)).toBe(0);
  expect(JSON.parse(Buffer.from(one.canonical).toString())).toMatchObject({
    specversion: "1.0",
    data: { model: "pump" },
  });
});

test("an event's data that is not JSON is kept as base64", () => {
  for (const contentType of ["application/json", "text/plain"]) {
    const entry = toEntry(event("evt.a.b.c.d", "{oops", contentType));
    expect(entry.kind).toBe("event");
    expect(Buffer.from(entry.canonical).toString()).toContain('"data_base64":"e29vcHM="');
  }
});

test.each([
  ["garbage on OUTCOMES", message({ body: Buffer.from("garbage") })],
  [
    "an outcome under another's subject",
    message({ subject: outcomeSubject({ tenant: "x", project: "plant", model: "pump", id: "r", state: "done" }) }),
  ],
  [
    "an event without CloudEvents headers",
    message({ stream: "EVENTS", subject: "evt.a.b.c.d", body: Buffer.from("{}") }),
  ],
])("%s is kept as it came", (_what, given) => {
  const entry = toEntry(given);
  expect(entry).toMatchObject({
    kind: "unreadable",
    subject: given.subject,
    id: `${given.stream}-7@${stored_at.toISOString()}`,
  });
  expect(entry.canonical).toBe(given.body);
});
