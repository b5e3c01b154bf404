import type { LockedMessage, OutgoingMessage, ReceivedMessage, SendResult } from "@millrace/azure";
import type { SubmissionAnswer, SubmissionCall } from "@millrace/bus";
import { type ErrorCode, parseReplyTo, problemDocument } from "@millrace/contracts";
import { expect, it } from "vitest";
import { onMessageReceived } from "./message-received.ts";

const source = { name: "orders", queue: "requests", tenant: "acme", project: "plant", model: "sum" };
const accepted = { ok: true } as SubmissionAnswer;
const refused = (code: ErrorCode, retry_after_s?: number): SubmissionAnswer => ({
  ok: false,
  problem: problemDocument({ code, detail: "because" }, { instance: "in.acme.plant.sum" }),
  ...(retry_after_s === undefined ? {} : { retry_after_s }),
});

/** The handler against answers by script, in time that passes only while it waits. */
async function run(
  answers: (SubmissionAnswer | Error)[],
  {
    message = {},
    sent = { ok: true },
    lostAfter_ms = Number.POSITIVE_INFINITY,
    stopAfter_ms = Number.POSITIVE_INFINITY,
    unsettled = false,
  }: {
    message?: Partial<ReceivedMessage>;
    sent?: SendResult;
    lostAfter_ms?: number;
    stopAfter_ms?: number;
    unsettled?: boolean;
  } = {},
) {
  let now = 1_000;
  const stopping = new AbortController();
  const seen = {
    calls: [] as SubmissionCall[],
    replies: [] as { entity: string; message: OutgoingMessage }[],
    waits: [] as number[],
    settled: [] as string[],
    endings: [] as string[],
    held: undefined as string | undefined,
  };
  const settle = async (...how: string[]) => {
    seen.settled.push(how.join("|"));
    return unsettled ? ({ ok: false, why: "MessageLockLost" } as const) : ({ ok: true } as const);
  };
  const locked: LockedMessage = {
    message: {
      messageId: "m-1",
      body: Buffer.from("{}"),
      applicationProperties: {},
      ...message,
    } as ReceivedMessage,
    get lost() {
      return now - 1_000 >= lostAfter_ms;
    },
    complete: () => settle("complete"),
    abandon: () => settle("abandon"),
    deadLetter: (reason, description) => settle("dead-letter", reason, description),
  };
  await onMessageReceived({
    source,
    here: { host: "ns.servicebus.windows.net", body_bytes_max: 100 },
    async submit(call) {
      seen.calls.push(call);
      const answer = answers[seen.calls.length - 1] ?? answers.at(-1)!;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    async reply(entity, message) {
      seen.replies.push({ entity, message });
      return sent;
    },
    now: () => now,
    async wait(ms) {
      seen.waits.push(ms);
      now += ms;
      if (now - 1_000 >= stopAfter_ms) stopping.abort();
    },
    signal: stopping.signal,
    hold_max_ms: 60_000,
    told: {
      received: () => {},
      holding: (_, why) => {
        seen.held = why;
      },
      ended: (ending) => seen.endings.push(ending),
    },
  })(locked);
  expect(seen.held).toBeUndefined();
  return seen;
}

it("completes a message when its request is stored, and gives it one key whatever happens to it", async () => {
  const first = await run([accepted]);
  expect(first).toMatchObject({ settled: ["complete"], endings: ["completed"], waits: [] });
  const [call] = first.calls;
  expect(call).toMatchObject({
    tenant: "acme",
    project: "plant",
    model: "sum",
    headers: { "millrace-principal": "servicebus:orders", "x-correlation-id": "m-1" },
  });
  const again = await run([accepted], { message: { deliveryCount: 3, enqueuedTimeUtc: new Date(5) } });
  expect(again.calls[0]!.headers["idempotency-key"]).toBe(call!.headers["idempotency-key"]);
  const redriven = await run([accepted], {
    message: { messageId: "m-1:redrive-1", applicationProperties: { "millrace-original-message-id": "m-1" } },
  });
  expect(redriven.calls[0]!.headers["idempotency-key"]).toBe(call!.headers["idempotency-key"]);
  const another = await run([accepted], { message: { messageId: "m-2" } });
  expect(another.calls[0]!.headers["idempotency-key"]).not.toBe(call!.headers["idempotency-key"]);
});

it("takes the place in the queue for the name of a message that has none", async () => {
  const key = async (sequenceNumber: string, at: number) =>
    (
      await run([accepted], {
        message: { messageId: undefined, sequenceNumber, enqueuedTimeUtc: new Date(at) } as Partial<ReceivedMessage>,
      })
    ).calls[0]!.headers["idempotency-key"];
  expect(await key("7", 1)).toBe(await key("7", 1));
  expect(await key("7", 1)).not.toBe(await key("8", 1));
  expect(await key("7", 1)).not.toBe(await key("7", 2)); // a queue that was made again counts from the start
});

it("passes on what the properties say", async () => {
  const { calls } = await run([accepted], {
    message: {
      correlationId: "order 7", // a space cannot stand in a correlation id here
      contentType: "application/octet-stream",
      replyTo: "sb://NS.servicebus.windows.net/replies",
      replyToSessionId: "for é",
      applicationProperties: {
        "inference-header-content-length": 2,
        "millrace-priority": "high",
        "Diagnostic-Id": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      },
    },
  });
  const { headers } = calls[0]!;
  expect(headers).toMatchObject({
    "x-correlation-id": "m-1",
    "content-type": "application/octet-stream",
    "inference-header-content-length": "2",
    "millrace-priority": "high",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  });
  expect(parseReplyTo(headers["millrace-reply-to"])).toEqual({
    source: "orders",
    entity: "replies",
    session: "for é",
    message: "m-1",
  });
});

it.each([
  "malformed-json",
  "unknown-model",
  "idempotency-conflict",
  "body-too-large",
  "unsupported-media-type",
] as const)("dead-letters what is refused with %s", async (code) => {
  const { settled, endings, replies } = await run([refused(code)]);
  expect(settled[0]).toMatch(new RegExp(`^dead-letter\\|${code}\\|.*because.*`));
  expect(endings).toEqual(["dead-lettered"]);
  expect(replies).toEqual([]);
});

it.each(["tenant-over-share", "overloaded", "storage-full", "unavailable", "internal", "unauthenticated"] as const)(
  "holds while it hears %s, for as long as it is told to, and completes when it is taken",
  async (code) => {
    const { settled, waits, calls } = await run([refused(code, 7), refused(code), new Error("no ingest"), accepted]);
    expect(settled).toEqual(["complete"]);
    expect(waits).toEqual([7_000, 500, 1_000]);
    expect(calls).toHaveLength(4);
  },
);

it("gives back after the bound, and when it stops; not when the lock is lost", async () => {
  expect(await run([refused("overloaded")])).toMatchObject({ settled: ["abandon"], endings: ["abandoned"] });
  expect((await run([refused("overloaded")])).waits.reduce((sum, ms) => sum + ms)).toBeLessThanOrEqual(60_000);
  const stopped = await run([refused("overloaded")], { stopAfter_ms: 1_000 });
  expect(stopped).toMatchObject({ settled: ["abandon"], waits: [250, 500, 1_000] });
  const lost = await run([refused("overloaded")], { lostAfter_ms: 1_000 });
  expect(lost).toMatchObject({ settled: [], endings: ["lock lost"] });
});

it("says that a settlement is not confirmed, and leaves it at that: the message comes again", async () => {
  expect(await run([accepted], { unsettled: true })).toMatchObject({ settled: ["complete"], endings: ["unsettled"] });
});

it("answers a refusal to who asked before it dead-letters, under an id that a repeat shares", async () => {
  const asked = { message: { replyTo: "replies", replyToSessionId: "s" } };
  const { replies, settled } = await run([refused("unknown-model")], asked);
  expect(replies).toMatchObject([
    {
      entity: "replies",
      message: { correlationId: "m-1", sessionId: "s", contentType: "application/problem+json" },
    },
  ]);
  expect(JSON.parse(String(replies[0]!.message.body))).toMatchObject({ code: "unknown-model", status: 404 });
  expect(String(replies[0]!.message.messageId).length).toBeLessThanOrEqual(128);
  expect(settled).toHaveLength(1);
  const again = await run([refused("unknown-model")], asked);
  expect(again.replies[0]!.message.messageId).toBe(replies[0]!.message.messageId);
});

it("waits for a reply that the link holds up, and does not wait for an entity that is not there", async () => {
  const asked = { message: { replyTo: "replies" } };
  const away = await run([refused("unknown-model")], { ...asked, sent: { ok: false, kind: "transient", why: "away" } });
  expect(away.settled).toEqual(["abandon"]);
  const gone = await run([refused("unknown-model")], { ...asked, sent: { ok: false, kind: "not-found", why: "gone" } });
  expect(gone.settled[0]).toMatch(/^dead-letter\|unknown-model\|.*No reply could be sent to "replies": gone/);
});

it.each([
  ["another namespace", { replyTo: "sb://other.servicebus.windows.net/replies" }, "invalid-property"],
  ["a subscription", { replyTo: "topic/Subscriptions/a" }, "invalid-property"],
  ["something else", { replyTo: "mailto:somebody" }, "invalid-property"],
  ["its own queue", { replyTo: "Requests" }, "invalid-property"],
  ["an AMQP value", { body: { a: 1 } }, "malformed-body"],
  ["too much", { body: Buffer.alloc(101) }, "body-too-large"],
  [
    "a past deadline",
    { applicationProperties: { "millrace-deadline": "1970-01-01T00:00:00.5Z" } },
    "deadline-exceeded",
  ],
  ["a header that is none", { contentType: "application/json\r\nmillrace-principal: root" }, "invalid-property"],
] as const)("dead-letters without asking ingest: %s", async (_, message, code) => {
  const { calls, settled } = await run([accepted], { message: message as Partial<ReceivedMessage> });
  expect(calls).toEqual([]);
  expect(settled[0]).toMatch(new RegExp(`^dead-letter\\|${code}`));
});
