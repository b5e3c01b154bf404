import { rename, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { LIMITS, type ProblemDocument, type RequestState, type Submission } from "@millrace/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ENTRIES, entry, eventually, type Ingest, json, POISON, startIngest, TOKEN } from "./testing/ingest.ts";

let ingest: Ingest;
beforeAll(async () => {
  ingest = await startIngest();
}, 30_000);
afterAll(() => ingest?.[Symbol.asyncDispose]());

const SUM = "/v1/acme/plant/models/sum/requests";
const tensor = (data: unknown, more: object = {}) => ({
  name: "reading",
  datatype: "FP32",
  shape: [1, 3],
  data,
  ...more,
});
const inputs = (...tensors: object[]) => JSON.stringify({ inputs: tensors });
const body = (...rows: number[][]) => inputs(tensor(rows, { shape: [rows.length, 3] }));
const post = (content: string | Buffer, headers: Record<string, string> = {}, path = SUM) =>
  ingest.call(path, {
    method: "POST",
    body: new Uint8Array(Buffer.from(content)),
    headers: { "content-type": "application/json", ...headers },
  });
const state = (path: string) => json<RequestState>(ingest.call(path));
const settled = (path: string) =>
  eventually("the outcome", async () => {
    const answer = await state(path);
    return answer.state === "pending" ? undefined : answer;
  });
const stored = async () => (await ingest.operator.jsm.streams.info("REQUESTS_TENSOR")).state.messages;

describe("submitting", () => {
  it("answers 202 with where the request is, and later its outcome", async () => {
    const response = await post(body([1, 2, 3]), { "x-correlation-id": "order-7" });
    expect(response.status).toBe(202);
    const accepted = await json<Submission>(response);
    expect(accepted).toMatchObject({
      state: "pending",
      durability: "fsync",
      digest: expect.stringMatching(/^sha256:/),
      model: { name: "sum", version: "3" },
      repeated: false,
    });
    expect(response.headers.get("location")).toBe(`${SUM}/${accepted.id}`);
    expect(response.headers.get("x-correlation-id")).toBe("order-7");
    expect(await state(accepted.links.self)).toEqual({ id: accepted.id, state: "pending", outcome: null });
    await using _worker = await ingest.work();
    expect((await settled(accepted.links.self)).outcome).toMatchObject({
      outputs: [{ name: "total", datatype: "FP64", shape: [1, 1], data: [6] }],
      request: { correlation_id: "order-7", principal: "alice", rows: 1, digest: accepted.digest },
    });
  });

  it("takes binary tensors, and gives binary outputs to who accepts only those", async () => {
    const data = Buffer.from(new Float32Array([1, 2, 3, 4, 5, 6]).buffer);
    const head = Buffer.from(inputs(tensor(undefined, { shape: [2, 3], parameters: { binary_data_size: 24 } })));
    const headers = {
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(head.length),
    };
    const accepted = await json<Submission>(post(Buffer.concat([head, data]), headers));
    await using _worker = await ingest.work();
    expect((await settled(accepted.links.self)).outcome).toMatchObject({ outputs: [{ shape: [2, 1], data: [6, 15] }] });

    const response = await ingest.call(accepted.links.self, { headers: { accept: "application/octet-stream" } });
    expect(response.headers.get("content-type")).toBe("application/octet-stream");
    const bytes = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get("inference-header-content-length"));
    expect(JSON.parse(bytes.subarray(0, length).toString())).toMatchObject({
      state: "done",
      outcome: { outputs: [{ parameters: { binary_data_size: 16 } }] },
    });
    expect([...new Float64Array(new Uint8Array(bytes.subarray(length)).buffer)]).toEqual([6, 15]);
  });

  it("waits for the outcome when asked to, and answers 202 when it does not come in time", async () => {
    const late = await post(body([1, 1, 1]), { prefer: "respond-async, wait=0" });
    expect([late.status, late.headers.get("preference-applied")]).toEqual([202, "wait=0"]);
    await using _worker = await ingest.work();
    const response = await post(body([1, 1, 2]), { prefer: "wait=10" });
    expect([response.status, response.headers.get("preference-applied")]).toEqual([200, "wait=10"]);
    expect(await json<RequestState>(response)).toMatchObject({ state: "done", outcome: { outputs: [{ data: [4] }] } });
    const dead = await post(body([1, 1, POISON]), { prefer: "wait=10" });
    expect(await json<RequestState>(dead)).toMatchObject({
      state: "dead",
      outcome: { reason: { code: "model-failed" } },
    });
  });

  it("wakes every one of many who wait", async () => {
    await using _worker = await ingest.work();
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => json<RequestState>(post(body([i, 0, 0]), { prefer: "wait=20" }))),
    );
    expect(answers.map(({ outcome }) => outcome?.state === "done" && outcome.outputs[0]?.data?.[0])).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    );
  });

  it("is one job per key, however often and at once it is sent", async () => {
    const before = await stored();
    const headers = { "idempotency-key": "once" };
    const answers = await Promise.all(Array.from({ length: 40 }, () => post(body([1, 2, 3]), headers)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    const accepted = await Promise.all(answers.map((answer) => json<Submission>(answer)));
    expect(new Set(accepted.map(({ id }) => id)).size).toBe(1);
    expect(accepted.filter(({ repeated }) => !repeated)).toHaveLength(1);
    expect(await stored()).toBe(before + 1);

    await using _worker = await ingest.work();
    await settled(accepted[0]!.links.self);
    // White space, quotes around the key and another priority change nothing.
    const again = await post(` ${body([1, 2, 3])}\n`, { "idempotency-key": '"once"', "millrace-priority": "low" });
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(await json<Submission>(again)).toMatchObject({ id: accepted[0]!.id, state: "done", repeated: true });
    const waited = await post(body([1, 2, 3]), { ...headers, prefer: "wait=5" });
    expect(await json<RequestState>(waited)).toMatchObject({ id: accepted[0]!.id, state: "done" });
  });

  it("refuses a key that stands for another body, with both digests", async () => {
    const headers = { "idempotency-key": "twice" };
    const first = await json<Submission>(post(body([1, 2, 3]), headers));
    const response = await post(body([3, 2, 1]), headers);
    expect(response.status).toBe(409);
    const problem = await json<ProblemDocument>(response);
    expect(problem).toMatchObject({
      code: "idempotency-conflict",
      digests: { existing: first.digest },
      location: first.links.self,
    });
    expect(problem.digests!.given).not.toBe(first.digest);
  });

  it("knows what a key stands for while its outcome is retained, also when the request is not any more", async () => {
    await using _worker = await ingest.work();
    const headers = { "idempotency-key": "of-old" };
    const first = await json<Submission>(post(body([1, 2, 3]), headers));
    await settled(first.links.self);
    const { jsm } = ingest.operator;
    const request = await jsm.streams.getMessage("REQUESTS_TENSOR", {
      last_by_subj: `req.tensor.normal.acme.plant.sum.${first.id}`,
    });
    await jsm.streams.deleteMessage("REQUESTS_TENSOR", request.seq);
    const other = await post(body([3, 2, 1]), headers);
    expect(other.status).toBe(409);
    expect(await json<ProblemDocument>(other)).toMatchObject({ digests: { existing: first.digest } });
    const again = await json<Submission>(post(body([1, 2, 3]), headers));
    expect(again).toMatchObject({ id: first.id, repeated: true, state: "done" });
    const { outcome } = await json<RequestState>(ingest.call(first.links.self));
    expect(outcome).toMatchObject({ request: { digest: first.digest, sequence: request.seq } });
  });

  it("carries the request's parameters into a result and into a dead letter", async () => {
    await using _worker = await ingest.work();
    const parameters = { sensor: "s-7", shift: 2, urgent: true };
    for (const [row, outcomeState] of [
      [[1, 2, 3], "done"],
      [[1, 1, POISON], "dead"],
    ] as const) {
      const content = JSON.stringify({
        inputs: [tensor(row)],
        parameters: { ...parameters, binary_data_output: true },
      });
      const accepted = await json<Submission>(post(content));
      const { outcome } = await settled(accepted.links.self);
      expect(outcome).toMatchObject({ state: outcomeState, request: { parameters } });
      expect(outcome!.request.parameters).toEqual(parameters);
    }
  });

  it("continues the caller's trace into the outcome", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const { id } = await json<Submission>(post(body([1, 2, 3]), { traceparent }));
    const message = await ingest.operator.jsm.streams.getMessage("REQUESTS_TENSOR", {
      last_by_subj: `req.tensor.normal.acme.plant.sum.${id}`,
    });
    expect(message.header.get("traceparent")).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-/);
    expect(message.header.get("ce-principal")).toBe("alice");
  });
});

const huge = body(...Array.from({ length: 512 }, () => [0.1, 0.2, 0.3])).replace(
  "{",
  `{${" ".repeat(LIMITS.body_bytes)}`,
);
const json3 = inputs(tensor([1, 2, 3]));
const octets = { "content-type": "application/octet-stream" };

describe("bad input", () => {
  it.each<[string, number, string, string | Buffer, Record<string, string>?, string?]>([
    ["malformed JSON", 400, "malformed-json", '{"inputs":['],
    ["no body", 400, "malformed-json", ""],
    ["a body that is not UTF-8", 400, "malformed-json", Buffer.from([0x22, 0xff, 0x22])],
    ["an id with half a character", 400, "malformed-body", json3.replace("{", '{"id":"\\ud800",')],
    ["JSON of another form", 400, "malformed-body", "[]"],
    ["no inputs", 400, "malformed-body", '{"inputs":[]}'],
    ["an unknown input", 400, "unknown-input", inputs(tensor([1, 2, 3], { name: "x" }))],
    ["an input given twice", 400, "malformed-body", inputs(tensor([1, 2, 3]), tensor([1, 2, 3]))],
    ["a wrong shape", 400, "wrong-shape", inputs(tensor([1, 2, 3], { shape: [3, 1] }))],
    ["fewer values than the shape", 400, "wrong-shape", inputs(tensor([1, 2]))],
    ["no rows", 400, "wrong-shape", inputs(tensor([], { shape: [0, 3] }))],
    ["a shape that would need gigabytes", 400, "wrong-shape", inputs(tensor([], { shape: [2_000_000_000, 3] }))],
    ["a wrong datatype", 400, "wrong-datatype", inputs(tensor([1, 2, 3], { datatype: "INT32" }))],
    ["a datatype that does not exist", 400, "wrong-datatype", inputs(tensor([1, 2, 3], { datatype: "COMPLEX" }))],
    ["a string for a number", 400, "wrong-value", inputs(tensor([1, 2, "3"]))],
    ["null for a number", 400, "wrong-value", inputs(tensor([1, 2, null]))],
    ["NaN", 400, "malformed-json", json3.replace("3]", "NaN]")],
    ["a number beyond FP32", 400, "wrong-value", json3.replace("2,3]", "2,1e39]")],
    ["an unknown output", 400, "unknown-output", json3.replace("{", '{"outputs":[{"name":"x"}],')],
    ["too many rows", 413, "too-many-rows", body(...Array.from({ length: 513 }, () => [1, 2, 3]))],
    ["an oversized body", 413, "body-too-large", huge],
    ["another content type", 415, "unsupported-media-type", json3, { "content-type": "text/plain" }],
    ["a compressed body", 415, "unsupported-media-type", json3, { "content-encoding": "gzip" }],
    ["a binary body without its header length", 400, "invalid-header", json3, octets],
    [
      "a header length past the body",
      400,
      "malformed-body",
      json3,
      { ...octets, "inference-header-content-length": "9999" },
    ],
    ["an unknown model", 404, "unknown-model", json3, {}, SUM.replace("sum", "nothing")],
    ["a wildcard in the path", 400, "invalid-token", json3, {}, SUM.replace("plant", "%3E")],
    ["a dot in the path", 400, "invalid-token", json3, {}, SUM.replace("sum", "a.b")],
    ["a name that is too long", 400, "invalid-token", json3, {}, SUM.replace("sum", "x".repeat(65))],
    ["a path that is not one", 400, "invalid-token", json3, {}, SUM.replace("sum", "%zz")],
    ["a correlation id with spaces", 400, "invalid-header", json3, { "x-correlation-id": "a b" }],
    ["a key that is too long", 400, "invalid-header", json3, { "idempotency-key": "k".repeat(256) }],
    ["an unknown priority", 400, "invalid-query", json3, {}, `${SUM}?priority=urgent`],
    ["an unknown parameter", 400, "invalid-query", json3, {}, `${SUM}?rowz=1`],
    ["an unknown route", 404, "unknown-route", json3, {}, "/v1/acme"],
  ])("%s is refused with %i %s", async (_what, status, code, content, headers = {}, path = SUM) => {
    const before = await stored();
    const response = await post(content, headers, path);
    expect(response.headers.get("content-type")).toContain("application/problem+json");
    expect(await json<ProblemDocument>(response)).toMatchObject({ code, status, type: `urn:millrace:error:${code}` });
    expect(response.status).toBe(status);
    expect(await stored()).toBe(before);
  });

  it("refuses NaN and Infinity in binary tensors", async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const head = Buffer.from(inputs(tensor(undefined, { parameters: { binary_data_size: 12 } })));
      const bytes = Buffer.concat([head, Buffer.from(new Float32Array([1, value, 3]).buffer)]);
      const response = await post(bytes, { ...octets, "inference-header-content-length": String(head.length) });
      expect(await json<ProblemDocument>(response)).toMatchObject({ code: "wrong-value", status: 400 });
    }
  });

  it("answers what is not HTTP with a problem, too", async () => {
    const { hostname, port } = new URL(ingest.url);
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connect(Number(port), hostname, () => socket.write("NONSENSE\r\n\r\n"));
      socket.on("data", (bytes) => {
        text += bytes;
      });
      socket.on("end", () => resolve(text)).on("error", reject);
    });
    expect(answer).toContain("HTTP/1.1 400");
    expect(answer).toContain("urn:millrace:error:malformed-http");
  });

  it("knows no request of another id, and none by a malformed one", async () => {
    expect(await json<ProblemDocument>(ingest.call(`${SUM}/nobody`))).toMatchObject({ code: "unknown-request" });
    expect(await json<ProblemDocument>(ingest.call(`${SUM}/a%2Eb`))).toMatchObject({ code: "invalid-token" });
  });
});

describe("tokens", () => {
  const get = (path: string, authorization?: string) =>
    fetch(ingest.url + path, authorization === undefined ? {} : { headers: { authorization } });

  it("are wanted by every route but health", async () => {
    for (const path of ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"])
      expect((await get(path)).status).toBe(200);
    for (const path of [
      "/metrics",
      "/docs",
      "/openapi.json",
      "/v2",
      "/v1/acme/plant/models",
      "/v1/audit/head",
      "/no/route",
    ]) {
      const response = await get(path);
      expect([path, response.status]).toEqual([path, 401]);
      expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
      expect(await json<ProblemDocument>(response)).toMatchObject({ code: "unauthenticated" });
    }
    expect((await get("/docs", `Bearer ${TOKEN}`)).status).toBe(200);
    expect((await get("/metrics", `Bearer ${TOKEN}`)).status).toBe(200);
  });

  it.each(["Bearer wrong", "Bearer", `Basic ${TOKEN}`, TOKEN, `Bearer ${ENTRIES[0]!.sha256}`])(
    "%s is not one",
    async (authorization) => {
      expect((await get("/v1/acme/plant/models", authorization)).status).toBe(401);
    },
  );

  it("are not taken from the query", async () => {
    expect((await get(`/v1/acme/plant/models?access_token=${TOKEN}`)).status).toBe(401);
  });

  it("allow what they grant and nothing else", async () => {
    const reads = { authorization: "Bearer token-that-reads" };
    expect((await get("/v1/acme/plant/models", reads.authorization)).status).toBe(200);
    expect(await json<ProblemDocument>(post(body([1, 2, 3]), reads))).toMatchObject({ code: "forbidden", status: 403 });
    for (const path of ["/v1/acme/other/models", "/v1/rival/plant/models"])
      expect(await json<ProblemDocument>(ingest.call(path))).toMatchObject({ code: "forbidden" });
    expect(await json<ProblemDocument>(get("/v1/audit/head", reads.authorization))).toMatchObject({
      code: "forbidden",
    });
  });

  it("are read again when the file changes, and kept when it is broken", async () => {
    const replace = async (text: string) => {
      await writeFile(`${ingest.tokensFile}.new`, text);
      await rename(`${ingest.tokensFile}.new`, ingest.tokensFile);
    };
    const status = async (token: string) => (await get("/v1/acme/plant/models", `Bearer ${token}`)).status;
    expect(await status("rotated")).toBe(401);
    await replace(JSON.stringify([...ENTRIES, entry("rotated", "dora", [["acme", "plant", "read"]])]));
    await eventually("the new token", async () => ((await status("rotated")) === 200 ? true : undefined));
    await replace("[{]");
    await new Promise((resolve) => setTimeout(resolve, 150)); // three looks at the file
    expect(await status("rotated")).toBe(200);
    await replace(JSON.stringify(ENTRIES));
    await eventually("the token is gone", async () => ((await status("rotated")) === 401 ? true : undefined));
  });
});
