import { answerSubmissions, readOutcome, type SubmissionCall, submitRequest } from "@millrace/bus";
import { formatReplyTo, type RequestState, type Submission } from "@millrace/contracts";
import { createMetrics } from "@millrace/kit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { onSubmissionCalled, tooManySubmissions } from "./handlers/submission-called.ts";
import { connectAs, eventually, type Ingest, json, POISON, startIngest } from "./testing/ingest.ts";

/** Submitting over NATS, as the bridge does, on a real nats-server. */
let ingest: Ingest;
let bridge: Awaited<ReturnType<typeof connectAs>>;
beforeAll(async () => {
  ingest = await startIngest();
  bridge = await connectAs(ingest.nats, "bridge");
}, 30_000);
afterAll(async () => {
  await bridge?.[Symbol.asyncDispose]();
  await ingest?.[Symbol.asyncDispose]();
});

const SUM = "/v1/acme/plant/models/sum/requests";
const reading = (...data: number[]) =>
  JSON.stringify({ inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data }] });
const call = (body: string | Buffer, headers: Record<string, string> = {}, of: Partial<SubmissionCall> = {}) =>
  submitRequest(
    bridge,
    {
      tenant: "acme",
      project: "plant",
      model: "sum",
      body: Buffer.from(body),
      headers: { "millrace-principal": "servicebus:orders", ...headers },
      ...of,
    },
    5_000,
  );
const accepted = async (answer: ReturnType<typeof call>): Promise<Submission> => {
  const given = await answer;
  if (!given.ok) throw new Error(JSON.stringify(given.problem));
  return given.submission;
};
const refused = async (answer: ReturnType<typeof call>) => {
  const given = await answer;
  if (given.ok) throw new Error("it was accepted");
  return given;
};
const settled = (id: string) =>
  eventually("the outcome", async () => {
    const state = await json<RequestState>(ingest.call(`${SUM}/${id}`));
    return state.state === "pending" ? undefined : state;
  });

it("answers as the HTTP route does, and the outcome is that of any other request", async () => {
  const submission = await accepted(
    call(reading(1, 2, 3), {
      "x-correlation-id": "order-7",
      "millrace-priority": "high",
      "content-type": "application/json",
    }),
  );
  expect(submission).toMatchObject({
    state: "pending",
    durability: "fsync",
    digest: expect.stringMatching(/^sha256:/),
    model: { name: "sum", version: "3" },
    repeated: false,
    links: { self: `${SUM}/${submission.id}`, events: `${SUM}/${submission.id}/events` },
  });
  await using _worker = await ingest.work();
  expect((await settled(submission.id)).outcome).toMatchObject({
    outputs: [{ data: [6] }],
    request: {
      correlation_id: "order-7",
      principal: "servicebus:orders",
      subject: `req.tensor.high.acme.plant.sum.${submission.id}`,
    },
  });
});

it("is one application with the HTTP route: a key stands for one request on both", async () => {
  const first = await accepted(call(reading(1, 1, 1), { "idempotency-key": "one" }));
  const again = await accepted(call(reading(1, 1, 1), { "idempotency-key": "one" }));
  expect(again).toMatchObject({ id: first.id, repeated: true });
  const overHttp = await ingest.call(SUM, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": "one" },
    body: reading(1, 1, 1),
  });
  expect(await json<Submission>(overHttp)).toMatchObject({ id: first.id, repeated: true });
  const other = await refused(call(reading(2, 2, 2), { "idempotency-key": "one" }));
  expect(other.problem).toMatchObject({
    status: 409,
    code: "idempotency-conflict",
    digests: { existing: first.digest },
    location: `${SUM}/${first.id}`,
  });
});

it("takes binary tensors", async () => {
  const json = Buffer.from(
    JSON.stringify({
      inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], parameters: { binary_data_size: 12 } }],
    }),
  );
  const submission = await accepted(
    call(Buffer.concat([json, Buffer.from(new Float32Array([4, 5, 6]).buffer)]), {
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(json.length),
    }),
  );
  await using _worker = await ingest.work();
  expect((await settled(submission.id)).outcome).toMatchObject({ state: "done" });
});

it.each([
  [404, "unknown-model", reading(1, 2, 3), {}, { model: "nothing" }],
  [400, "malformed-json", "{", {}, {}],
  [400, "wrong-shape", reading(1, 2), {}, {}],
  [400, "invalid-header", reading(1, 2, 3), { "millrace-priority": "urgent" }, {}],
  [400, "invalid-header", reading(1, 2, 3), { "millrace-reply-to": "a queue" }, {}],
  [400, "invalid-header", reading(1, 2, 3), { "content-type": "application/octet-stream" }, {}],
  [413, "body-too-large", " ".repeat(1024 * 1024 + 1), {}, {}],
  [415, "unsupported-media-type", reading(1, 2, 3), { "content-type": "text/plain" }, {}],
  [401, "unauthenticated", reading(1, 2, 3), { "millrace-principal": "" }, {}],
] as const)(
  "refuses with %i %s, as a problem document that says where it stands",
  async (status, code, body, headers, of) => {
    const { problem } = await refused(call(body, headers, of));
    expect(problem).toMatchObject({
      status,
      code,
      type: `urn:millrace:error:${code}`,
      instance: `in.acme.plant.${"model" in of ? of.model : "sum"}`,
    });
  },
);

it("carries the reply's address from the request to its outcome, and to that of a redrive", async () => {
  const replyTo = formatReplyTo({ source: "orders", entity: "replies", session: "s", message: "m-1" });
  const { id } = await accepted(call(reading(POISON, 2, 3), { "millrace-reply-to": replyTo }));
  const of = { tenant: "acme", project: "plant", model: "sum", id };
  await using _worker = await ingest.work();
  await settled(id);
  expect(await readOutcome(ingest.operator, of)).toMatchObject({ record: { state: "dead" }, replyTo });
  const redrive = await ingest.call(`/v1/acme/plant/models/sum/dead-letters/${id}/redrive`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ reason: "again", payload: JSON.parse(reading(1, 2, 3)) }),
  });
  expect(redrive.status).toBeLessThan(300);
  await eventually("the second outcome", async () => {
    const outcome = await readOutcome(ingest.operator, of);
    return outcome?.record.state === "done" ? outcome : undefined;
  });
  expect(await readOutcome(ingest.operator, of)).toMatchObject({ record: { attempt: 2 }, replyTo });
});

it("says when to come again while as many are under way as may be", async () => {
  const busy = await connectAs(ingest.nats, "ingest");
  await using _busy = busy;
  // Its own queue member, which has no place for any: sooner or later it is asked.
  await using _full = answerSubmissions(busy, { concurrency_max: 0, busy: tooManySubmissions }, async () => {
    throw new Error("nothing is asked of it");
  });
  const answer = await eventually("the member without a place is asked", async () => {
    const given = await call(reading(1, 2, 3));
    return given.ok ? undefined : given;
  });
  expect(answer).toMatchObject({ problem: { status: 503, code: "unavailable" }, retry_after_s: 1 });
});

it("says that nobody answers, when nobody does", async () => {
  const place = { tenant: "acme", project: "plant", model: "sum" };
  await using alone = await startIngest();
  await alone.stopSubmissions();
  await using asker = await connectAs(alone.nats, "bridge");
  await expect(submitRequest(asker, { ...place, headers: {}, body: Buffer.alloc(0) }, 5_000)).rejects.toThrow(
    "no ingest is connected",
  );
});

it("only the bridge may submit so", async () => {
  const inference = await connectAs(ingest.nats, "inference");
  await using _inference = inference;
  const place = { tenant: "acme", project: "plant", model: "sum" };
  const headers = { "millrace-principal": "somebody" };
  await expect(
    submitRequest(inference, { ...place, headers, body: Buffer.from(reading(1, 2, 3)) }, 1_000),
  ).rejects.toThrow();
});

it("counts what it is asked", async () => {
  const metrics = createMetrics("test");
  const deps = { ...ingest.parts, metrics };
  await onSubmissionCalled(deps)({
    tenant: "acme",
    project: "plant",
    model: "sum",
    headers: {},
    body: Buffer.alloc(0),
  });
  expect(await metrics.metrics()).toMatch(/millrace_nats_submissions_total\{.*status="401".*\} 1/);
});
