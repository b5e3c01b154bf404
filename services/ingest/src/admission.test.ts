import { type BulkSummary, laneKey, type ProblemDocument, REQUEST_HEADERS, type Submission } from "@millrace/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Ingest, json, startIngest } from "./testing/ingest.ts";

/** A model that takes 50 ms for a request: 20/s, of which 100 s may wait. */
const PACE = { ms: 50, batch_max: 4 };
const WAIT_MAX_S = 100;

let ingest: Ingest;
let worker: AsyncDisposable;
beforeAll(async () => {
  ingest = await startIngest({ wait_max_s: WAIT_MAX_S });
  worker = await ingest.work(undefined, PACE);
}, 30_000);
afterAll(async () => {
  await worker?.[Symbol.asyncDispose]();
  await ingest?.[Symbol.asyncDispose]();
});

const path = (tenant = "acme") => `/v1/${tenant}/plant/models/sum/requests`;
const body = (value: number) =>
  JSON.stringify({ inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data: [value, 0, 0] }] });
const post = (value: number, headers: Record<string, string> = {}, tenant = "acme") =>
  ingest.call(path(tenant), {
    method: "POST",
    body: body(value),
    headers: {
      "content-type": "application/json",
      ...(tenant === "rival" ? { authorization: "Bearer token-of-rival" } : {}),
      ...headers,
    },
  });
const upload = (lines: number, headers: Record<string, string> = {}) =>
  ingest.call(`${path()}/bulk?rows=1`, {
    method: "POST",
    body: Array.from({ length: lines }, (_, i) => `[${i},1,2]\n`).join(""),
    headers: { "content-type": "application/x-ndjson", ...headers },
  });
const metric = async (name: string) => {
  const text = await (await ingest.call("/metrics")).text();
  return Number(new RegExp(`^${name}\\{model="sum"[^}]*\\} (.*)$`, "m").exec(text)?.[1] ?? Number.NaN);
};
const retryAfter = (response: Response) => Number(response.headers.get("retry-after"));

describe("a model that is asked for more than it can do", { timeout: 120_000 }, () => {
  it("makes its lane known with the first request", async () => {
    expect((await post(1, { "idempotency-key": "first" })).status).toBe(202);
    const lanes = await ingest.operator.js.views.kv("lanes", { bindOnly: true });
    const lane = { kind: "tensor", priority: "normal", tenant: "acme", model: "sum" } as const;
    const entry = await eventually("the lane", async () => (await lanes.get(laneKey(lane))) ?? undefined);
    expect(entry.json<{ since: string }>().since).toMatch(/^\d{4}-/);
  });

  it("shows its drain once it is busy", async () => {
    expect((await upload(250)).status).toBe(202);
    const rate = await eventually("the drain", async () => {
      const value = await metric("millrace_queue_drain_rows_per_second");
      return value > 0 ? value : undefined;
    });
    expect(rate).toBeGreaterThan(10);
    expect(rate).toBeLessThan(25);
    expect(await metric("millrace_queue_wait_seconds")).toBeGreaterThan(1);
  });

  it("a deadline that the queue cannot meet is refused at once, one that it can is stored", async () => {
    const at = (ms: number) => ({ "millrace-deadline": new Date(Date.now() + ms).toISOString() });
    const late = await post(1, at(1_000));
    expect(await json<ProblemDocument>(late)).toMatchObject({ code: "too-late", status: 503 });
    expect(late.headers.has("retry-after")).toBe(false);
    const past = await post(1, at(-1_000));
    expect(await json<ProblemDocument>(past)).toMatchObject({ code: "invalid-header", status: 400 });
    const impossible = await post(1, { "millrace-deadline": "2027-13-01T00:00:00Z" });
    expect(await json<ProblemDocument>(impossible)).toMatchObject({ code: "invalid-header", status: 400 });

    const header = at(600_000);
    const { id } = await json<Submission>(post(1, header));
    const message = await ingest.operator.jsm.streams.getMessage("REQUESTS_TENSOR", {
      last_by_subj: `req.tensor.*.acme.plant.sum.${id}`,
    });
    expect(message.header.get(REQUEST_HEADERS.deadline)).toBe(header["millrace-deadline"]);
  });

  it("knows its drain after some seconds", async () => {
    await eventually(
      "5 s of it",
      async () => ((await metric("millrace_queue_requests")) < 150 ? true : undefined),
      30_000,
    );
  });

  it("stops a bulk upload in the middle, and says how far it came", async () => {
    const response = await upload(4_000, { "idempotency-key": "upload" });
    const problem = await json<ProblemDocument>(response);
    expect(problem).toMatchObject({ status: 503, code: "overloaded" });
    expect(retryAfter(response)).toBeGreaterThan(0);
    const { accepted, next_line, unaccepted } = problem.bulk!;
    // 100 s of about 20/s.
    expect(accepted.requests).toBeGreaterThan(1_000);
    expect(accepted.requests).toBeLessThan(2_400);
    expect(unaccepted.length).toBeGreaterThan(0);
    expect(next_line).toBeGreaterThan(accepted.requests);
  });

  it("refuses with a wait that comes true, within 30 %", async () => {
    const response = await post(2);
    const began = performance.now();
    expect(await json<ProblemDocument>(response)).toMatchObject({ status: 503, code: "overloaded" });
    const said = retryAfter(response);

    await test429AndRepeats();

    await eventually(
      "a request is taken again",
      async () => ((await post(3)).status === 202 ? true : undefined),
      60_000,
    );
    const waited = (performance.now() - began) / 1_000;
    console.log(`Retry-After ${said} s, really ${waited.toFixed(1)} s: ratio ${(said / waited).toFixed(2)}`);
    expect(said / waited).toBeGreaterThan(0.7);
    expect(said / waited).toBeLessThan(1.3);
  });

  /** While the queue is closed for one tenant: what is still answered. */
  async function test429AndRepeats() {
    // A repeat adds no load.
    const repeat = await post(1, { "idempotency-key": "first" });
    expect([repeat.status, repeat.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    const conflict = await post(9, { "idempotency-key": "first" });
    expect(await json<ProblemDocument>(conflict)).toMatchObject({ code: "idempotency-conflict" });
    expect((await post(1, { "idempotency-key": "new" })).status).toBe(503);
    const again = await json<BulkSummary>(upload(50, { "idempotency-key": "upload" }));
    expect(again.accepted.requests).toBe(50);

    // Another tenant has a queue of its own; while it waits there, the first one is told that it is its share.
    expect((await post(1, {}, "rival")).status).toBe(202);
    for (let i = 0; i < 20; i++) expect((await post(i, {}, "rival")).status).toBe(202);
    const share = await eventually("429", async () => {
      const response = await post(4);
      return response.status === 429 ? response : undefined;
    });
    expect(await json<ProblemDocument>(share)).toMatchObject({ code: "tenant-over-share" });
    expect(retryAfter(share)).toBeGreaterThan(0);
    expect(await metric("millrace_refused_requests_total")).toBeGreaterThan(0);
  }
});
