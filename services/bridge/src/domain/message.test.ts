import type { OutgoingMessage } from "@millrace/azure";
import type { StoredOutcome } from "@millrace/bus";
import { canonicalBytes, digestOf, type Route } from "@millrace/contracts";
import { expect, it } from "vitest";
import { doneOutcome } from "../testing/outcome.ts";
import { messagesOf } from "./message.ts";

function made(route: Partial<Route>, outcome: StoredOutcome): OutgoingMessage[] {
  const result = messagesOf({ name: "all", topic: "predictions", ...route })(outcome);
  if (!result.ok) throw new Error(result.problem.detail);
  return result.value;
}

const dead: StoredOutcome = (() => {
  const done = doneOutcome();
  const {
    outputs: _,
    runtime: __,
    timing: ___,
    ...rest
  } = done.record as Extract<StoredOutcome["record"], { state: "done" }>;
  const reason = { code: "model-failed", title: "t", detail: "d", fix: "f" };
  return { ...done, record: { ...rest, state: "dead", reason, deliveries: 1 } };
})();

it("without more said, sends the stored bytes with ids and properties that a receiver can rely on", () => {
  const outcome = doneOutcome();
  expect(made({}, outcome)).toEqual([
    {
      messageId: "a.1:all",
      correlationId: "c",
      subject: "inference.completed",
      contentType: "application/json",
      body: Buffer.from(outcome.body.bytes),
      applicationProperties: expect.objectContaining({
        "cloudEvents:id": "a.1",
        "cloudEvents:specversion": "1.0",
        traceparent: outcome.envelope.traceparent,
        tenant: "acme",
        project: "plant",
        model: "pump",
        modelVersion: "1",
        state: "done",
        requestSequence: 7,
      }),
    },
  ]);
});

it("fills templates from the outcome, its request and its outputs, and leaves out what has nothing to say", () => {
  const message: Route["message"] = {
    subject: "{model}/{parameters.sensor}",
    session_id: "{tenant}-{parameters.sensor}",
    partition_key: "{tenant}-{parameters.sensor}",
    ttl_s: 60,
    properties: {
      risk: "{outputs.risk}",
      text: "{outputs.risk} of {id} at {sequence}",
      urgent: "{parameters.urgent}",
      none: "{parameters.other}",
      half: "{id} {parameters.other}",
      proto: "{parameters.constructor}",
    },
  };
  const outcome = doneOutcome({ values: [0.5, 0.75], parameters: { sensor: "s-7", urgent: true } });
  const [filled] = made({ message }, outcome);
  expect(filled).toMatchObject({ subject: "pump/s-7", sessionId: "acme-s-7", timeToLive: 60_000 });
  expect(filled).not.toHaveProperty("partitionKey"); // the session id is one
  expect(filled!.applicationProperties).toMatchObject({ risk: 0.5, text: "0.5 of a at 7", urgent: true });
  for (const name of ["none", "half", "proto"]) expect(filled!.applicationProperties).not.toHaveProperty(name);
  const [bare] = made({ message }, doneOutcome());
  expect([bare!.sessionId, bare!.subject]).toEqual([undefined, "inference.completed"]);
});

it("names that are longer than Service Bus takes stay different", () => {
  const message = { session_id: "{parameters.sensor}" };
  const of = (sensor: string) => made({ message }, doneOutcome({ parameters: { sensor } }))[0]!.sessionId!;
  const [one, two, short] = [of(`${"x".repeat(200)}1`), of(`${"x".repeat(200)}2`), of("x".repeat(128))];
  expect(one).toHaveLength(64);
  expect(one).not.toBe(two);
  expect(short).toHaveLength(128);
});

it("sends one message per row that meets the condition, each pointing to the outcome", () => {
  const outcome = doneOutcome({ values: [0.25, 0.75, 1], parameters: { sensor: "s-7" } });
  const rows = made(
    {
      when: { output: "risk", op: ">", value: 0.5 },
      message: { per: "row", session_id: "{parameters.sensor}#{row}", properties: { risk: "{outputs.risk}" } },
    },
    outcome,
  );
  expect(rows.map(({ messageId, sessionId }) => [messageId, sessionId])).toEqual([
    ["a.1:all#1", "s-7#1"],
    ["a.1:all#2", "s-7#2"],
  ]);
  expect(rows[0]!.applicationProperties).toMatchObject({
    "cloudEvents:id": "a.1#1",
    "cloudEvents:type": "millrace.inference.row-completed.v1",
    row: 1,
    risk: 0.75,
  });
  const body = JSON.parse(rows[0]!.body.toString());
  expect(body).toMatchObject({
    id: "a#1",
    row: 1,
    outcome: { id: "a.1", digest: digestOf(outcome.body.bytes) },
    outputs: [{ name: "risk", shape: [1, 1], data: [0.75] }],
    parameters: { sensor: "s-7" },
  });
  expect(rows[0]!.body.equals(canonicalBytes(body))).toBe(true);
});

it("a condition takes a whole outcome when any row meets it, and never a dead letter", () => {
  const when = { output: "risk", op: ">", value: 0.5 } as const;
  expect(made({ when }, doneOutcome({ values: [0.1, 0.9] }))).toHaveLength(1);
  expect(made({ when }, doneOutcome({ values: [0.1, 0.5] }))).toEqual([]);
  expect(made({ when: { ...when, output: "other" } }, doneOutcome({ values: [0.9] }))).toEqual([]);
  expect(made({ when }, dead)).toEqual([]);
  expect(made({ message: { per: "row" } }, dead)).toMatchObject([
    { messageId: "a.1:all", subject: "inference.dead-lettered" },
  ]);
});
