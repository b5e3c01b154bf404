import type { OutgoingMessage, SendResult } from "@millrace/azure";
import type { OutcomeDelivery } from "@millrace/bus";
import { expect, it } from "vitest";
import { HOLD_DELAYS_MS } from "../domain/hold.ts";
import { onOutcomeStored } from "./outcome-stored.ts";

const outcome = (id: string): OutcomeDelivery =>
  ({
    record: {
      id,
      attempt: 1,
      state: "done",
      tenant: "acme",
      project: "plant",
      model: { name: "m", version: "1", digest: "d" },
      request: { digest: "sha256:r", sequence: 7 },
    },
    envelope: {
      id: `${id}.1`,
      type: "t",
      source: "/millrace/inference",
      subject: "out",
      time: "now",
      datacontenttype: "application/json",
      correlationid: "c",
      traceparent: "00-a-b-01",
    },
    body: { bytes: Buffer.from(`{"id":"${id}"}`) },
    address: { tenant: "acme", project: "plant", model: "m", id, state: "done" },
    sequence: 1,
    attempt: 1,
  }) as unknown as OutcomeDelivery;

const ok: SendResult = { ok: true };
const later: SendResult = { ok: false, kind: "transient", why: "ServiceBusy" };
const tooLarge: SendResult = { ok: false, kind: "too-large", why: "larger than 256 bytes" };

/** A link that answers by script, and remembers what it was asked to send. */
function scripted(answers: SendResult[][], controller = new AbortController()) {
  const sent: OutgoingMessage[][] = [];
  const waits: number[] = [];
  const handle = onOutcomeStored({
    route: "all",
    link: {
      async sendAll(messages) {
        sent.push([...messages]);
        return answers[sent.length - 1] ?? messages.map(() => later);
      },
    },
    signal: controller.signal,
    wait: async (ms) => {
      waits.push(ms);
      if (waits.length > 20) controller.abort();
    },
    onTry: () => {},
  });
  return { handle, sent, waits };
}

it("acknowledges what was sent, with ids and properties that a receiver can rely on", async () => {
  const { handle, sent } = scripted([[ok]]);
  expect(await handle([outcome("a")])).toEqual([{ kind: "done", emit: [] }]);
  expect(sent[0]![0]).toMatchObject({
    messageId: "a.1:all",
    correlationId: "c",
    subject: "inference.completed",
    contentType: "application/json",
    body: Buffer.from('{"id":"a"}'),
    applicationProperties: {
      "cloudEvents:id": "a.1",
      "cloudEvents:specversion": "1.0",
      traceparent: "00-a-b-01",
      tenant: "acme",
      state: "done",
      requestSequence: 7,
    },
  });
});

it("holds what was not taken, sends only that again, and passes nothing over", async () => {
  const { handle, sent, waits } = scripted([[ok, later, later], [later, ok], [ok]]);
  const verdicts = await handle(["a", "b", "c"].map(outcome));
  expect(verdicts.every((verdict) => verdict.kind === "done")).toBe(true);
  expect(sent.map((batch) => batch.map((message) => message.messageId))).toEqual([
    ["a.1:all", "b.1:all", "c.1:all"],
    ["b.1:all", "c.1:all"],
    ["b.1:all"],
  ]);
  expect(waits).toEqual(HOLD_DELAYS_MS.slice(0, 2));
});

it("refuses a message that can never be taken, and lets the others through", async () => {
  const { handle } = scripted([[ok, tooLarge, ok]]);
  const verdicts = await handle(["a", "b", "c"].map(outcome));
  expect(verdicts.map((verdict) => verdict.kind)).toEqual(["done", "reject", "done"]);
});

it("gives held messages back when the service stops", async () => {
  const { handle, waits } = scripted([]);
  expect(await handle([outcome("a")])).toEqual([
    { kind: "retry", retry: "infrastructure", why: "transient: ServiceBusy" },
  ]);
  expect(waits.at(-1)).toBe(HOLD_DELAYS_MS.at(-1));
});
