import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { AuditEntry, RequestState, Submission } from "@millrace/contracts";
import { outcomeId, requestSubject } from "@millrace/contracts";
import { type Delivery, startWebhookReceiver } from "@millrace/local";
import { eventually, publishByHand, startMillrace, type TestMillrace, type TopicFollower } from "@millrace/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { failingReading, MODEL, riskBody, riskRequests } from "./risk-requests.ts";

const stack = new AsyncDisposableStack();
const webhooks: Delivery[] = [];
let millrace: TestMillrace;
let topic: TopicFollower;

beforeAll(async () => {
  const receiver = stack.use(await startWebhookReceiver((delivery) => webhooks.push(delivery)));
  const folder = await mkdtemp(path.join(tmpdir(), "millrace-e2e-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const rules = path.join(folder, "rules.json");
  await writeFile(rules, JSON.stringify({ rules: [riskRule(receiver.url)] }));
  millrace = stack.use(await startMillrace({ rules, env: { E2E_WEBHOOK_SECRET: receiver.secret } }));
  topic = stack.use(await millrace.follow());
});

afterAll(() => stack.disposeAsync());

const riskRule = (url: string) => ({
  name: "at-risk",
  tenant: "demo",
  project: "plant-a",
  model: MODEL,
  when: { output: "failure_probability", op: ">=", value: 0.8 },
  webhook: { url, secret: { env: "E2E_WEBHOOK_SECRET" } },
});

const requestsPath = () => `/v1/${millrace.run.tenant}/${millrace.run.project}/models/${MODEL}/requests`;

test("a reading's prediction reaches the submitter, the notifier, the ledger and the topic, with the same bytes", async () => {
  const submission = await millrace.submit({
    model: MODEL,
    body: riskBody(failingReading()),
    headers: { "x-correlation-id": "order-66" },
  });
  expect(submission.durability).toBe("fsync");
  const { id } = submission;
  const outcome = await millrace.waitForOutcome(MODEL, id);
  expect(outcome.state).toBe("done");
  if (outcome.state !== "done") return;
  expect(outcome.outputs[0]!.data![0]).toBeGreaterThan(0.8);

  const delivery = await eventually(() => {
    const found = webhooks.find((webhook) => webhook.id.startsWith(outcomeId(id, 1)));
    expect(found).toBeDefined();
    return found!;
  });
  expect(JSON.stringify(delivery.body)).toContain(id);

  const message = await eventually(() => {
    const found = topic.messages.find(({ messageId }) => messageId.startsWith(outcomeId(id, 1)));
    expect(found).toBeDefined();
    return found!;
  });
  expect(message.correlationId).toBe("order-66");
  expect(message.applicationProperties).toMatchObject({ model: MODEL, state: "done" });

  const entry = await eventually(async () => {
    const entries: AuditEntry[] = await millrace.ledger({ id, include: "record" });
    const found = entries.find(({ kind }) => kind === "outcome");
    expect(found).toBeDefined();
    return found!;
  });
  expect(entry.correlation_id).toBe("order-66");
  const ledgerBytes = Buffer.from(entry.record!, "base64");
  expect(sha256(ledgerBytes)).toBe(sha256(message.body));

  const delivered = await eventually(async () => {
    const events = (await millrace.ledger({ kind: "event" })).filter(({ subject }) => subject.includes(id));
    expect(events.length).toBeGreaterThan(0);
    return events;
  });
  expect(delivered[0]!.type).toBe("millrace.delivery.made.v1");
});

test("two submissions with one Idempotency-Key are one job with one result; another body is refused", async () => {
  const request = { model: MODEL, key: "twice", body: riskBody(failingReading()) };
  const both = await Promise.all([millrace.trySubmit(request), millrace.trySubmit(request)]);
  expect(both.map(({ status }) => status)).toEqual([202, 202]);
  const [first, second] = both.map(({ body }) => body as Submission);
  expect(second!.id).toBe(first!.id);
  expect([first!.repeated, second!.repeated].sort()).toEqual([false, true]);

  await millrace.waitForOutcome(MODEL, first!.id);
  const again = await millrace.trySubmit(request);
  expect((again.body as Submission).id).toBe(first!.id);
  const other = await millrace.trySubmit({ ...request, body: riskBody(failingReading().map((value) => value + 1)) });
  expect(other.status).toBe(409);
  expect(other.body).toMatchObject({ code: "idempotency-conflict" });

  await eventually(() => expect(messagesOf(first!.id)).toBe(1));
  const rows = await eventually(async () => {
    const entries = (await millrace.ledger({ id: first!.id })).filter(({ kind }) => kind === "outcome");
    expect(entries.length).toBeGreaterThan(0);
    return entries;
  });
  expect(rows).toHaveLength(1);
});

const messagesOf = (id: string) => topic.messages.filter(({ messageId }) => messageId.startsWith(id)).length;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("a client that waits gets its outcome with the answer", async () => {
  const body = riskBody(failingReading());
  const answer = await millrace.trySubmit({ model: MODEL, body, headers: { prefer: "wait=10" } });
  expect(answer.status).toBe(200);
  expect((answer.body as RequestState).outcome?.state).toBe("done");
  const infer = await millrace.call(`/v2/models/${MODEL}/infer`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(infer.status).toBe(200);
  expect(infer.body).toMatchObject({ model_name: MODEL });
});

test("bulk lines become predictions; a bad or truncated line is named and stops no other", async () => {
  const lines = [...riskRequests("unused", 40)].map(({ body }) => JSON.stringify(rowOf(body)));
  const ndjson = [...lines.slice(0, 10), '{"speed_rpm": "fast"}', ...lines.slice(10), lines[0]!.slice(0, 20)].join(
    "\n",
  );
  const answer = await millrace.call(`${requestsPath()}/bulk`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: ndjson,
  });
  expect(answer.status).toBe(202);
  const summary = answer.body as { accepted: { rows: number }; errors: { line: number }[]; requests: { id: string }[] };
  expect(summary.accepted.rows).toBe(40);
  expect(summary.errors.map(({ line }) => line)).toEqual([11, 42]);
  for (const { id } of summary.requests) expect((await millrace.waitForOutcome(MODEL, id)).state).toBe("done");
});

/** The reading of a body, as a bulk line carries it. */
const rowOf = (body: unknown) => (body as ReturnType<typeof riskBody>).inputs[0]!.data;

const ROW = failingReading();
const withInput = (change: object) => ({ inputs: [{ ...riskBody(ROW).inputs[0], ...change }] });

test.each<
  [
    string,
    { status: number; code: string },
    { body: object | string; model?: string; headers?: Record<string, string> },
  ]
>([
  ["malformed JSON", { status: 400, code: "malformed-json" }, { body: '{"inputs": [' }],
  ["a body that is not a request", { status: 400, code: "malformed-body" }, { body: { inputs: "none" } }],
  ["a wrong shape", { status: 400, code: "wrong-shape" }, { body: withInput({ shape: [1, 3], data: [1, 2, 3] }) }],
  ["fewer values than the shape says", { status: 400, code: "wrong-shape" }, { body: withInput({ data: [1, 2, 3] }) }],
  [
    "a wrong type",
    { status: 400, code: "wrong-datatype" },
    { body: withInput({ datatype: "INT32", data: ROW.map(Math.round) }) },
  ],
  ["text where a number belongs", { status: 400, code: "wrong-value" }, { body: withInput({ data: ROW.map(String) }) }],
  [
    "NaN",
    { status: 400, code: "malformed-json" },
    { body: JSON.stringify(riskBody(ROW)).replace(/\[1,12\],"data":\[[^,]+/, '[1,12],"data":[NaN') },
  ],
  [
    "infinity, as an overflow",
    { status: 400, code: "wrong-value" },
    { body: JSON.stringify(riskBody(ROW)).replace(/"data":\[[^,]+/, '"data":[1e999') },
  ],
  ["an unknown input", { status: 400, code: "unknown-input" }, { body: withInput({ name: "letters" }) }],
  ["an unknown model", { status: 404, code: "unknown-model" }, { body: riskBody(ROW), model: "crystal-ball" }],
  ["an oversized body", { status: 413, code: "body-too-large" }, { body: `{"inputs":"${"x".repeat(1_100_000)}"}` }],
  [
    "a model name that is no subject token",
    { status: 400, code: "invalid-token" },
    { body: riskBody(ROW), model: "a.b%3E" },
  ],
  [
    "a media type nobody asked for",
    { status: 415, code: "unsupported-media-type" },
    { body: "<xml/>", headers: { "content-type": "application/xml" } },
  ],
])("%s is refused with a code of its own", async (_name, { status, code }, { body, model = MODEL, headers = {} }) => {
  const answer = await millrace.trySubmit({ model, body, headers });
  expect({ status: answer.status, body: answer.body }).toMatchObject({ status, body: { code } });
  expect(answer.headers.get("content-type")).toMatch("application/problem+json");
});

test("garbage published to the request subject by hand becomes a dead letter with its reason, and stops nobody", async () => {
  const { tenant, project } = millrace.run;
  const subjectOf = (model: string, id: string) =>
    requestSubject({ kind: "tensor", priority: "normal", tenant, project, model, id });
  await publishByHand(millrace.run, subjectOf(MODEL, "garbage"), Buffer.from([0xff, 0x00, 0x7b]));
  await publishByHand(millrace.run, subjectOf("nobody", "stray"), Buffer.from("{}"));

  const next = await millrace.submit({ model: MODEL, body: riskBody(ROW) });
  expect((await millrace.waitForOutcome(MODEL, next.id)).state).toBe("done");
  const dead = await millrace.waitForOutcome(MODEL, "garbage");
  expect(dead).toMatchObject({ state: "dead", reason: { code: "malformed-message" } });
  const stray = await millrace.waitForOutcome("nobody", "stray", 60_000);
  expect(stray).toMatchObject({ state: "dead", reason: { code: "unknown-model" } });
  await eventually(() => expect([messagesOf("garbage"), messagesOf("stray")]).toEqual([1, 1]));
});

test("without the token there is nothing but health", async () => {
  const { http } = millrace.run;
  expect((await fetch(`${http}/healthz`)).status).toBe(200);
  const { status } = await fetch(`${http}${requestsPath()}`, { method: "POST", body: "{}" });
  expect(status).toBe(401);
  const wrong = await fetch(`${http}/v1/audit/entries`, { headers: { authorization: "Bearer guess" } });
  expect(wrong.status).toBe(401);
});
