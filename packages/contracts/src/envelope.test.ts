import { describe, expect, it } from "vitest";
import { type Envelope, fromHeaders, toAmqpProperties, toHeaders } from "./envelope.ts";

const envelope: Envelope = {
  id: "r.1",
  type: "millrace.inference.completed.v1",
  source: "/millrace/inference",
  subject: "out.a.b.c.r.done",
  time: "2026-11-21T12:00:00.000Z",
  datacontenttype: "application/json",
  correlationid: "order-7",
  principal: "alice",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};
const { principal: _principal, traceparent: _traceparent, ...least } = envelope;

describe("the envelope", () => {
  it.each([envelope, least])("is read from the headers it is written to", (of) => {
    const headers = toHeaders(of);
    expect(headers["ce-specversion"]).toBe("1.0");
    expect(headers["content-type"]).toBe("application/json");
    expect(fromHeaders((name) => headers[name])).toEqual(of);
  });

  it("names every header that is missing; an empty one is", () => {
    expect(fromHeaders(() => undefined)).toEqual({
      missing: ["ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "content-type", "ce-correlationid"],
    });
    const headers = toHeaders(envelope);
    expect(fromHeaders((name) => (name === "ce-id" ? "" : headers[name]))).toEqual({ missing: ["ce-id"] });
  });

  it("becomes AMQP application properties of the CloudEvents binding", () => {
    expect(toAmqpProperties(envelope)).toEqual({
      "cloudEvents:specversion": "1.0",
      "cloudEvents:id": "r.1",
      "cloudEvents:type": "millrace.inference.completed.v1",
      "cloudEvents:source": "/millrace/inference",
      "cloudEvents:subject": "out.a.b.c.r.done",
      "cloudEvents:time": "2026-11-21T12:00:00.000Z",
      "cloudEvents:correlationid": "order-7",
      "cloudEvents:principal": "alice",
      traceparent: envelope.traceparent,
    });
  });
});
