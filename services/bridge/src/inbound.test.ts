import { setTimeout as sleep } from "node:timers/promises";
import { ERRORS, EVENTS } from "@millrace/contracts";
import { eventually, seededRandom } from "@millrace/testkit";
import { expect, it } from "vitest";
import { FAILS, type Inbound, inbound, reading, request } from "./testing/inbound.ts";
import { end } from "./testing/surroundings.ts";

/*
 * Requests by Service Bus: the real bridge and ingest as processes between a real nats-server and a Service Bus that the
 * real SDK talks to, each of them killed once.
 */
const ids = (count: number, prefix = "m-") => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const text = (body: unknown) => Buffer.from(body as Uint8Array).toString();

const emptied = (around: Inbound, queue: string, within_ms = 60_000) =>
  eventually(async () => expect(await around.look(queue)).toEqual({ waiting: [], dead: [] }), {
    within_ms,
    every_ms: 200,
  });

it("a request by queue has an outcome, and the outcome is the reply", async () => {
  await using around = await inbound();
  await around.startIngest();
  await using _worker = await around.work();
  const { healthUrl } = await around.startBridge();
  await around.send("requests", [
    request("good", { body: reading(1, 2, 3), replyTo: "replies", correlationId: "order-7" }),
    request("bad", { body: reading(1, 2, FAILS), replyTo: "replies" }),
    request("silent", { body: reading(4, 5, 6) }),
  ]);
  const replies = await around.take("replies", 2);
  const of = (id: string) => replies.find(({ correlationId }) => correlationId === id)!;
  expect(of("good")).toMatchObject({
    contentType: "application/json",
    messageId: expect.stringMatching(/^[0-9a-f-]{36}\.1:reply-orders$/),
    applicationProperties: { state: "done", model: "sum", "cloudEvents:correlationid": "order-7" },
  });
  expect(JSON.parse(text(of("good").body))).toMatchObject({
    state: "done",
    outputs: [{ name: "total", data: [6] }],
    request: { principal: "servicebus:orders", correlation_id: "order-7" },
  });
  expect(of("bad").applicationProperties).toMatchObject({ state: "dead" });
  expect(JSON.parse(text(of("bad").body))).toMatchObject({ reason: { code: "model-failed" } });
  await emptied(around, "requests");
  expect(await around.requests()).toBe(3);
  await eventually(async () => {
    expect((await fetch(`${healthUrl}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${healthUrl}/metrics`)).text()).toMatch(
      /millrace_bridge_inbound_messages_total\{(?=.*source="orders")(?=.*result="completed").*\} 3/,
    );
  });
  expect((await around.consumer("reply-orders")).num_ack_pending).toBe(0);
}, 90_000);

it("takes requests from a subscription and from sessions, and replies into a session", async () => {
  await using around = await inbound();
  await around.startIngest();
  await using _worker = await around.work();
  await around.startBridge();
  await around.send("readings", [request("from a topic", { applicationProperties: {}, replyTo: "replies" })]);
  const perSession = 15;
  for (const n of Array(perSession).keys())
    await around.send(
      "by-sensor",
      ["a", "b", "c"].map((sensor) =>
        request(`${sensor}-${n}`, {
          sessionId: sensor,
          body: reading(sensor.charCodeAt(0), n, 0),
          replyTo: "replies-by-session",
          replyToSessionId: `for ${sensor}`,
        }),
      ),
    );
  const replies = await around.take("replies-by-session", 3 * perSession, { sessions: true });
  for (const { correlationId, sessionId } of replies) expect(sessionId).toBe(`for ${String(correlationId)[0]}`);
  expect((await around.take("replies", 1))[0]).toMatchObject({ correlationId: "from a topic" });
  // In the request stream each session stands in the order in which it was sent.
  const stored = (await around.bodies()).map((body) => JSON.parse(body).inputs[0].data as number[]);
  for (const sensor of ["a", "b", "c"])
    expect(stored.filter(([of]) => of === sensor.charCodeAt(0)).map(([, n]) => n)).toEqual([
      ...Array(perSession).keys(),
    ]);
}, 90_000);

it("what was sent twice is one request with one reply", async () => {
  await using around = await inbound();
  await around.startIngest();
  await using _worker = await around.work();
  await around.startBridge();
  const twice = ids(20).map((id) => request(id, { replyTo: "replies" }));
  await around.send("requests", twice);
  await around.send("requests", twice);
  expect(new Set((await around.take("replies", 20)).map(({ correlationId }) => correlationId)).size).toBe(20);
  await emptied(around, "requests");
  expect(await around.requests()).toBe(20);
  expect((await around.look("replies")).waiting).toEqual([]);
}, 90_000);

it("dead-letters what can never be a request with its reason, and says so to who asked", async () => {
  await using around = await inbound();
  await around.startIngest();
  await around.startBridge();
  await around.send("requests", [
    request("not JSON", { body: Buffer.from("{"), replyTo: "replies" }),
    request("unknown model", { applicationProperties: { model: "nothing" }, replyTo: "replies" }),
    request("no model", { applicationProperties: {} }),
    request("text", { contentType: "text/plain" }),
    request("late", { applicationProperties: { model: "sum", "millrace-deadline": "2020-01-01T00:00:00Z" } }),
    request("elsewhere", { replyTo: "sb://another.servicebus.windows.net/replies" }),
    request("nowhere", { applicationProperties: {}, replyTo: "no-such-queue" }),
    request("other body"),
  ]);
  await eventually(async () => expect(await around.requests()).toBe(1));
  await around.send("requests", [request("other body", { body: reading(9, 9, 9) })]);
  const reasons = await eventually(
    async () => {
      const { waiting, dead } = await around.look("requests");
      expect(waiting).toEqual([]);
      expect(dead).toHaveLength(8);
      return new Map(dead.map((letter) => [letter.messageId, letter]));
    },
    { within_ms: 60_000 },
  );
  expect(Object.fromEntries([...reasons].map(([id, { deadLetterReason }]) => [id, deadLetterReason]))).toEqual({
    "not JSON": "malformed-json",
    "unknown model": "unknown-model",
    "no model": "invalid-property",
    text: "unsupported-media-type",
    late: "deadline-exceeded",
    elsewhere: "invalid-property",
    nowhere: "invalid-property",
    "other body": "idempotency-conflict",
  });
  expect(reasons.get("unknown model")!.deadLetterErrorDescription).toContain('no model named "nothing" is deployed');
  expect(reasons.get("nowhere")!.deadLetterErrorDescription).toContain("No reply could be sent to");
  for (const { deliveryCount } of reasons.values()) expect(deliveryCount).toBeLessThanOrEqual(1);
  const replies = await around.take("replies", 2);
  for (const { contentType, correlationId, body } of replies) {
    expect(contentType).toBe("application/problem+json");
    const code = correlationId === "not JSON" ? "malformed-json" : "unknown-model";
    expect(JSON.parse(text(body))).toMatchObject({ code, title: ERRORS[code].title, status: ERRORS[code].status });
  }
}, 90_000);

it("killed again and again between storing and completing, each request is one and none is left", async () => {
  await using around = await inbound();
  const ingest = await around.startIngest();
  let submissions = 0;
  ingest.stdout!.on("data", (bytes) => (submissions += String(bytes).split('"operation":"submission"').length - 1));
  await using _worker = await around.work();
  const random = seededRandom();
  const total = 400;
  const sending = (async () => {
    for (let at = 0; at < total; at += 20) {
      const some = ids(20, `m-${at}-`).map((id) => request(id, { replyTo: "replies" }));
      await around.send("requests", some);
      await sleep(random.integer(100, 600));
      if (random.next() < 0.3) await around.send("requests", some.slice(0, random.integer(1, 20))); // the sender was not sure
    }
  })();
  for (let kill = 0; kill < 8; kill++) {
    const { process } = await around.startBridge();
    await sleep(random.integer(0, 1_200)); // in the middle of whatever it does
    await end(process, "SIGKILL");
  }
  await sending;
  await around.startBridge();
  const replies = await around.take("replies", total, { within_ms: 90_000 });
  expect(new Set(replies.map(({ correlationId }) => correlationId)).size).toBe(total);
  await emptied(around, "requests");
  expect(await around.requests()).toBe(total);
  expect((await around.look("replies")).waiting).toEqual([]);
  console.info(`${submissions} submissions made ${total} requests`);
}, 180_000);

it("while ingest is away messages stay, locked and uncounted, and go on when it is back", async () => {
  await using around = await inbound();
  const { healthUrl } = await around.startBridge({ INBOUND_MESSAGES_MAX: "4" });
  await around.send(
    "requests",
    ids(12).map((id) => request(id)),
  );
  await eventually(async () => {
    const readiness = await fetch(`${healthUrl}/readyz`);
    expect(readiness.status).toBe(503);
    expect(await readiness.text()).toMatch(/4 held: no ingest is connected/);
  });
  await sleep(11_000); // longer than two locks: what is shown is that nothing happens to them
  const { waiting, dead } = await around.look("requests");
  expect(dead).toEqual([]);
  expect(waiting.map(({ deliveryCount }) => deliveryCount)).toEqual(waiting.map(() => 0));
  expect(waiting).toHaveLength(12);
  await around.startIngest();
  await emptied(around, "requests");
  expect(await around.requests()).toBe(12);
  await eventually(async () => expect((await fetch(`${healthUrl}/readyz`)).status).toBe(200));
}, 120_000);

it("gives back what it has held for as long as it may, and what it holds when it is stopped", async () => {
  await using around = await inbound();
  const first = await around.startBridge({ INBOUND_HOLD_MAX_S: "1" });
  await around.send("requests", [request("m")]);
  await eventually(async () => {
    const metrics = await (await fetch(`${first.healthUrl}/metrics`)).text();
    expect(metrics).toMatch(/inbound_messages_total\{(?=.*source="orders")(?=.*result="abandoned").*\} [1-9]/);
  });
  expect(await end(first.process, "SIGTERM")).toBe(0);
  const second = await around.startBridge();
  await eventually(async () => expect(await (await fetch(`${second.healthUrl}/readyz`)).text()).toMatch(/1 held/));
  expect(await end(second.process, "SIGTERM")).toBe(0);
  await around.startIngest();
  await around.startBridge();
  await emptied(around, "requests");
  expect(await around.requests()).toBe(1);
}, 120_000);

it("goes on by itself after Service Bus was away, and after nats-server was", async () => {
  await using around = await inbound();
  await around.startIngest();
  await using _worker = await around.work();
  const { healthUrl } = await around.startBridge();
  await around.send(
    "requests",
    ids(20, "a-").map((id) => request(id, { replyTo: "replies" })),
  );
  await around.take("replies", 20);
  await end(around.serviceBus(), "SIGKILL");
  await eventually(async () => expect((await fetch(`${healthUrl}/readyz`)).status).toBe(503), { within_ms: 60_000 });
  await around.startServiceBus();
  await around.send(
    "requests",
    ids(20, "b-").map((id) => request(id, { replyTo: "replies" })),
  );
  await around.take("replies", 20, { within_ms: 60_000 });
  await around.nats.kill();
  await around.send(
    "requests",
    ids(20, "c-").map((id) => request(id, { replyTo: "replies" })),
  );
  await around.nats.restart();
  const replies = await around.take("replies", 20, { within_ms: 60_000 });
  expect(new Set(replies.map(({ correlationId }) => correlationId))).toEqual(new Set(ids(20, "c-")));
  await emptied(around, "requests");
  expect(await around.requests()).toBe(60);
}, 180_000);

it("a source that fails stops no other, and one that appears in the bucket is taken up", async () => {
  await using around = await inbound();
  await around.startIngest();
  const { healthUrl } = await around.startBridge();
  const kv = await around.operator.js.views.kv("sources", { bindOnly: true });
  const put = (source: Record<string, string> & { name: string }) => kv.put(source.name, JSON.stringify(source));
  await put({ name: "missing", queue: "no-such-queue", tenant: "acme", project: "plant" });
  await put({ name: "late", queue: "replies", tenant: "acme", project: "plant", model: "sum" });
  await eventually(async () =>
    expect(await (await fetch(`${healthUrl}/readyz`)).text()).toMatch(/source missing.*not-found/),
  );
  await around.send("replies", [request("m", { applicationProperties: {} })]);
  await emptied(around, "replies");
  await around.send("requests", [request("m")]);
  await emptied(around, "requests");
  expect(await around.requests()).toBe(2);
  await kv.delete("missing");
  await eventually(async () => expect((await fetch(`${healthUrl}/readyz`)).status).toBe(200));
}, 90_000);

it("puts a reply that nobody can take on record, and the others go on", async () => {
  await using around = await inbound();
  await around.startIngest();
  await using _worker = await around.work();
  await around.startBridge();
  await around.send("requests", [request("m", { replyTo: "small-replies" }), request("n", { replyTo: "replies" })]);
  expect(await around.take("replies", 1)).toMatchObject([{ correlationId: "n" }]);
  await eventually(async () => {
    const event = await around.operator.jsm.streams.getMessage(EVENTS.name, { last_by_subj: "evt.*.*.delivery.>" });
    expect(event.json()).toMatchObject({ destination: "reply-orders", code: "delivery-refused" });
  });
}, 90_000);
