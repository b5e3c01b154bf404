import { answer } from "@millrace/bus";
import {
  AUDIT_QUERY_SUBJECT,
  eventSubject,
  type InferResponse,
  type ModelMetadata,
  type ProblemDocument,
  type RequestState,
} from "@millrace/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectAs, eventually, type Ingest, json, POISON, SUM, startIngest } from "./testing/ingest.ts";

let ingest: Ingest;
beforeAll(async () => {
  ingest = await startIngest();
}, 30_000);
afterAll(() => ingest?.[Symbol.asyncDispose]());

const input = { name: "reading", datatype: "FP32", shape: [2, 3], data: [1, 2, 3, 4, 5, 6] };
const infer = (request: object, options: { path?: string; headers?: Record<string, string> } = {}) =>
  ingest.call(`${options.path ?? "/v2/models/sum"}/infer`, {
    method: "POST",
    body: JSON.stringify(request),
    headers: { "content-type": "application/json", ...options.headers },
  });

describe.each(["/v2", "/v1/acme/plant/v2"])("the Open Inference Protocol under %s", (root) => {
  it("tells of the server and its models", async () => {
    expect(await json(ingest.call(root))).toMatchObject({ name: "millrace", extensions: ["binary_tensor_data"] });
    expect(await json(ingest.call(`${root}/health/ready`))).toEqual({ ready: true });
    for (const path of [`${root}/models/sum`, `${root}/models/sum/versions/3`]) {
      expect(await json<ModelMetadata>(ingest.call(path))).toEqual({
        name: "sum",
        versions: ["3"],
        platform: "tensorflow_js_layers",
        inputs: [{ name: "reading", datatype: "FP32", shape: [-1, 3] }],
        outputs: [{ name: "total", datatype: "FP64", shape: [-1, 1] }],
      });
      expect(await json(ingest.call(`${path}/ready`))).toEqual({ name: "sum", ready: true });
    }
    const other = await ingest.call(`${root}/models/sum/versions/4/ready`);
    expect([other.status, await json(other)]).toMatchObject([
      404,
      { code: "unknown-model", error: expect.any(String) },
    ]);
  });

  it("infers", async () => {
    await using _worker = await ingest.work();
    for (const path of [`${root}/models/sum`, `${root}/models/sum/versions/3`]) {
      const response = await infer({ id: "mine", inputs: [input] }, { path });
      expect(response.status).toBe(200);
      expect(await json<InferResponse>(response)).toMatchObject({
        id: "mine",
        model_name: "sum",
        model_version: "3",
        outputs: [{ name: "total", datatype: "FP64", shape: [2, 1], data: [6, 15] }],
      });
      const state = await json<RequestState>(ingest.call(response.headers.get("content-location")!));
      expect(state).toMatchObject({ state: "done" });
    }
  });

  it("answers in bytes when all or one output is asked for so", async () => {
    await using _worker = await ingest.work();
    const parameters = { binary_data: true };
    for (const asked of [{ parameters: { binary_data_output: true } }, { outputs: [{ name: "total", parameters }] }]) {
      const response = await infer({ inputs: [input], ...asked }, { path: `${root}/models/sum` });
      const bytes = Buffer.from(await response.arrayBuffer());
      const length = Number(response.headers.get("inference-header-content-length"));
      const head = JSON.parse(bytes.subarray(0, length).toString()) as InferResponse;
      expect(head.outputs).toEqual([
        { name: "total", datatype: "FP64", shape: [2, 1], parameters: { binary_data_size: 16 } },
      ]);
      expect([...new Float64Array(new Uint8Array(bytes.subarray(length)).buffer)]).toEqual([6, 15]);
    }
  });

  it("answers why when the request is dead, or not done in time", async () => {
    const late = await infer({ inputs: [input] }, { path: `${root}/models/sum`, headers: { prefer: "wait=0" } });
    expect(late.status).toBe(504);
    const problem = await json<ProblemDocument>(late);
    expect(problem).toMatchObject({ code: "wait-timeout", error: problem.detail });
    expect(await json(ingest.call(problem.location!))).toMatchObject({ state: "pending" });
    await using _worker = await ingest.work();
    const dead = await infer({ inputs: [{ ...input, data: [1, 2, 3, 4, 5, POISON] }] }, { path: `${root}/models/sum` });
    expect([dead.status, await json(dead)]).toMatchObject([422, { code: "model-failed", at: "/inputs/0" }]);
  });
});

describe("at the root", () => {
  it("the project must be clear from the token", async () => {
    const headers = { authorization: "Bearer token-of-two" };
    expect(await json<ProblemDocument>(ingest.call("/v2/models/sum", { headers }))).toMatchObject({
      code: "ambiguous-grant",
      status: 403,
    });
    expect((await ingest.call("/v1/acme/other/v2/models/sum", { headers })).status).toBe(200);
  });

  it("a client that names no content type is understood", async () => {
    await using _worker = await ingest.work();
    const body = new Blob([JSON.stringify({ inputs: [input] })]);
    const response = await ingest.call("/v2/models/sum/infer", { method: "POST", body });
    expect(await json(response)).toMatchObject({ outputs: [{ data: [6, 15] }] });
  });
});

describe("a broker that goes away", () => {
  it("and comes back while a client waits costs the client nothing but time", async () => {
    await using broken = await startIngest();
    const waiting = broken.call("/v1/acme/plant/models/sum/requests", {
      method: "POST",
      body: JSON.stringify({ inputs: [input] }),
      headers: { "content-type": "application/json", prefer: "wait=30" },
    });
    await pending(broken);
    await broken.nats.kill();
    await broken.nats.restart();
    await eventually("the worker is back", () => (broken.inference.connected ? true : undefined));
    await using _worker = await broken.work();
    expect(await json<RequestState>(waiting)).toMatchObject({
      state: "done",
      outcome: { outputs: [{ data: [6, 15] }] },
    });
  }, 60_000);

  it("and comes back still tells of models that are deployed", async () => {
    await using broken = await startIngest();
    await broken.nats.kill();
    await broken.nats.restart();
    await eventually("the connections are back", () => (broken.inference.connected ? true : undefined));
    await eventually(
      "the new version is known",
      async () => {
        await broken.announce({ ...SUM, manifest: { ...SUM.manifest, version: "4" } }).catch(() => {});
        const response = await broken.call("/v2/models/sum/versions/4/ready");
        return response.status === 200 ? true : undefined;
      },
      30_000,
    );
  }, 60_000);

  it("is a 503 at once, before anything is read or sent", async () => {
    await using broken = await startIngest();
    await broken.nats.kill();
    await eventually("the outage is noticed", () => broken.streams.room());
    const post = (path: string, type: string, body: string) =>
      broken.call(`/v1/acme/plant/models/sum/requests${path}`, {
        method: "POST",
        body,
        headers: { "content-type": type },
      });
    const answers = await Promise.all([
      post("", "application/json", JSON.stringify({ inputs: [input] })),
      post("/bulk", "application/x-ndjson", "[1,2,3]\n"),
    ]);
    for (const response of answers) {
      expect(response.headers.get("retry-after")).toBe("1");
      expect(await json<ProblemDocument>(response)).toMatchObject({ code: "unavailable", status: 503 });
    }
    await broken.nats.restart();
    await eventually("requests are taken again", async () => {
      const response = await post("", "application/json", JSON.stringify({ inputs: [input] }));
      return response.status === 202 ? true : undefined;
    });
  }, 60_000);
});

describe("streams without room", () => {
  it.each(["REQUESTS_TENSOR", "OUTCOMES", "EVENTS"])("refuse new requests while %s is 80 %% full", async (stream) => {
    const { jsm } = ingest.operator;
    const { config } = await jsm.streams.info(stream);
    const filling = { tenant: "acme", project: "full", kind: "test", detail: ["x"] };
    if (stream === "EVENTS") await ingest.operator.js.publish(eventSubject(filling), Buffer.alloc(1_000));
    const { state } = await jsm.streams.info(stream);
    await jsm.streams.update(stream, { ...config, max_bytes: Math.ceil(state.bytes / 0.9) });
    const full = await eventually("no room", () => ingest.streams.room());
    expect(full).toMatchObject({ code: "storage-full", detail: expect.stringContaining(stream) });
    const response = await infer({ inputs: [input] });
    expect([response.status, await json(response)]).toMatchObject([503, { code: "storage-full" }]);
    await jsm.streams.update(stream, config);
    await eventually("room again", () => (ingest.streams.room() ? undefined : true));
  });
});

describe("the ledger", () => {
  it("is asked over the bus, within what the token grants", async () => {
    expect(await json<ProblemDocument>(ingest.call("/v1/audit/head"))).toMatchObject({
      code: "unavailable",
      status: 503,
    });
    await using audit = await connectAs(ingest.nats, "audit");
    const asked: unknown[] = [];
    const head = { entries: 1, chain_hash: `sha256:${"0".repeat(64)}`, key_id: "none" };
    using _answering = answer(audit, AUDIT_QUERY_SUBJECT, (question) => {
      asked.push(question);
      return { entries: [], head };
    });
    await audit.nc.flush();
    expect(await json(ingest.call("/v1/audit/head"))).toEqual(head);
    expect(await json(ingest.call("/v1/audit/entries?id=x&limit=5&order=desc"))).toEqual({ entries: [], head });
    expect(asked).toEqual([{ limit: 0 }, { id: "x", limit: 5, order: "desc", tenant: "acme", project: "plant" }]);
    expect(await json(ingest.call("/v1/audit/entries?tenant=rival"))).toMatchObject({ code: "forbidden" });
    expect(await json(ingest.call("/v1/audit/entries?limit=many"))).toMatchObject({ code: "invalid-query" });
  });
});

const pending = async ({ operator }: Ingest) => {
  for (let i = 0; i < 500; i++) {
    if ((await operator.jsm.streams.info("REQUESTS_TENSOR")).state.messages > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the request was not stored within 5 s");
};
