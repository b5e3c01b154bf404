import { request as httpRequest } from "node:http";
import { type BulkSummary, LIMITS, type ProblemDocument, type RequestState } from "@millrace/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Ingest, json, startIngest, TOKEN, WINDOW } from "./testing/ingest.ts";

let ingest: Ingest;
beforeAll(async () => {
  ingest = await startIngest();
}, 30_000);
afterAll(() => ingest?.[Symbol.asyncDispose]());

const PATH = "/v1/acme/plant/models/sum/requests";
const upload = (body: string, options: { type?: string; query?: string; headers?: object; path?: string } = {}) =>
  ingest.call(`${options.path ?? PATH}/bulk${options.query ?? ""}`, {
    method: "POST",
    body,
    headers: { "content-type": options.type ?? "application/x-ndjson", ...options.headers },
  });
const outcome = (id: string, path = PATH) =>
  eventually("the outcome", async () => {
    const state = await json<RequestState>(ingest.call(`${path}/${id}`));
    return state.outcome ?? undefined;
  });
const lines = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => JSON.stringify({ a: from + i, b: 0, c: 0.5 }));

describe("bulk uploads", () => {
  it("packs readings into requests of 512 rows, whose outcomes keep the order of the lines", async () => {
    const response = await upload(lines(1, 1_200).join("\n"));
    expect(response.status).toBe(202);
    const summary = await json<BulkSummary>(response);
    expect(summary).toMatchObject({ accepted: { rows: 1_200, requests: 3 }, rejected: { rows: 0 }, errors: [] });
    expect(summary.requests.map(({ first_line, last_line, rows }) => [first_line, last_line, rows])).toEqual([
      [1, 512, 512],
      [513, 1_024, 512],
      [1_025, 1_200, 176],
    ]);
    await using _worker = await ingest.work();
    const last = await outcome(summary.requests[2]!.id);
    expect(last).toMatchObject({ state: "done", outputs: [{ shape: [176, 1] }] });
    expect(last.state === "done" && last.outputs[0]!.data!.slice(0, 2)).toEqual([1_025.5, 1_026.5]);
  });

  it("accepts the good lines around the bad ones, and names each bad line", async () => {
    const text = [
      '{"a":1,"b":2,"c":3}',
      "not json",
      "",
      "[4,5,6]",
      '{"reading":[7,8,9]}',
      '{"a":1,"b":2}',
      '{"a":1,"b":2,"c":3,"d":4}',
      '{"a":1,"b":2,"c":"3"}',
      '{"a":1,"b":2,"c":1e39}',
      '{"a":1,"b":2,"c":NaN}',
      "[1,2]",
      "7",
      "null",
      '{"a":1,"b":2,"c":4}\r',
      `{"a":1,"b":2,"c":${" ".repeat(LIMITS.bulk.line_bytes)}4}`,
      '{"a":1,"b":2,"c":',
    ].join("\n");
    const response = await upload(text);
    expect(response.status).toBe(202);
    const summary = await json<BulkSummary>(response);
    expect(summary.accepted).toEqual({ rows: 4, requests: 1 });
    expect(summary.requests).toMatchObject([{ first_line: 1, last_line: 14, rows: 4 }]);
    expect(summary.errors.map(({ line, code, at }) => [line, code, at])).toEqual([
      [2, "malformed-json", undefined],
      [6, "missing-input", undefined],
      [7, "unknown-input", "/d"],
      [8, "wrong-value", "/c"],
      [9, "wrong-value", "/c"],
      [10, "malformed-json", undefined],
      [11, "wrong-shape", ""],
      [12, "wrong-shape", ""],
      [13, "wrong-shape", ""],
      [15, "line-too-long", undefined],
      [16, "malformed-json", undefined],
    ]);
    await using _worker = await ingest.work();
    expect(await outcome(summary.requests[0]!.id)).toMatchObject({ outputs: [{ data: [6, 15, 24, 7] }] });
  });

  it("reads CSV by its header, in any column order", async () => {
    const text = '\ufeffc,a,"b"\r\n3,1,2\n"30",10,20\n3,1\n3,1,\n3,x,1\n3,0x10,1\n1e400,1,1\n"3,1,2\n5,5,5';
    const summary = await json<BulkSummary>(upload(text, { type: "text/csv; charset=utf-8" }));
    expect(summary.accepted).toEqual({ rows: 3, requests: 1 });
    expect(summary.errors.map(({ line, code, at }) => [line, code, at])).toEqual([
      [4, "wrong-shape", undefined],
      [5, "wrong-value", "/b"],
      [6, "wrong-value", "/a"],
      [7, "wrong-value", "/a"],
      [8, "wrong-value", "/c"],
      [9, "malformed-body", undefined],
    ]);
    await using _worker = await ingest.work();
    expect(await outcome(summary.requests[0]!.id)).toMatchObject({ outputs: [{ data: [6, 60, 15] }] });
  });

  it.each([
    ["an unknown column", "a,b,x\n1,2,3", "unknown-input"],
    ["a missing column", "a,b\n1,2", "missing-input"],
    ["a column that stands twice", "a,b,c,a\n1,2,3,4", "malformed-body"],
  ])("refuses a CSV file with %s", async (_what, text, code) => {
    const response = await upload(text, { type: "text/csv" });
    expect(response.status).toBe(400);
    expect(await json<ProblemDocument>(response)).toMatchObject({ code, at: "line 1" });
  });

  it("makes one request per line when asked to", async () => {
    const summary = await json<BulkSummary>(upload(`${lines(1, 3).join("\n")}\n`, { query: "?rows=1&priority=low" }));
    expect(summary.accepted).toEqual({ rows: 3, requests: 3 });
    expect(summary.requests.map(({ first_line, rows }) => [first_line, rows])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
    await using _worker = await ingest.work();
    expect(await outcome(summary.requests[1]!.id)).toMatchObject({ outputs: [{ shape: [1, 1], data: [2.5] }] });
  });

  it("takes windows and single elements, by name, by feature, or mixed", async () => {
    const path = "/v1/acme/plant/models/window/requests";
    const text = [
      '{"heat":[1,2,3,4],"speed":[10,20,30,40],"machine":7}',
      '{"cycles":[[1,10],[2,20],[3,30],[4,40]],"machine":[8]}',
      '{"cycles":[1,10,2,20,3,30,4,40],"machine":9}',
      '{"cycles":[1,10,2,20,3,30,4,40],"machine":9.5}',
      '{"heat":[1,2,3],"speed":[10,20,30,40],"machine":7}',
      "[1,2]",
    ].join("\n");
    const summary = await json<BulkSummary>(upload(text, { path }));
    expect(summary.accepted).toEqual({ rows: 3, requests: 1 });
    expect(summary.errors.map(({ line, code, at }) => [line, code, at])).toEqual([
      [4, "wrong-value", "/machine"],
      [5, "wrong-shape", "/heat"],
      [6, "malformed-body", undefined],
    ]);
    await using _worker = await ingest.work(WINDOW);
    expect(await outcome(summary.requests[0]!.id, path)).toMatchObject({ outputs: [{ data: [110, 110, 110] }] });
    const csv = await upload("heat,speed,machine\n1,2,3", { path, type: "text/csv" });
    expect(await json<ProblemDocument>(csv)).toMatchObject({ code: "wrong-shape" });
  });

  it("repeats nothing when the same upload comes again under its key, and refuses another", async () => {
    const headers = { "idempotency-key": "upload-1" };
    const first = await json<BulkSummary>(upload(lines(1, 600).join("\n"), { headers }));
    const again = await json<BulkSummary>(upload(lines(1, 600).join("\n"), { headers }));
    expect(again.requests).toEqual(first.requests);
    const info = await ingest.operator.jsm.streams.info("REQUESTS_TENSOR", { subjects_filter: "req.>" });
    for (const { id } of first.requests)
      expect(Object.keys(info.state.subjects ?? {}).filter((subject) => subject.endsWith(id))).toHaveLength(1);

    const other = await upload(lines(2, 601).join("\n"), { headers });
    expect(other.status).toBe(409);
    expect(await json<ProblemDocument>(other)).toMatchObject({
      code: "idempotency-conflict",
      bulk: { accepted: { rows: 0 }, unaccepted: [{ first_line: 1, last_line: 512 }, { first_line: 513 }] },
    });
  });

  it("answers 400 with the errors when no line can be used", async () => {
    const response = await upload("x\ny");
    expect(response.status).toBe(400);
    expect(await json<ProblemDocument>(response)).toMatchObject({
      code: "nothing-accepted",
      errors: [{ line: 1 }, { line: 2 }],
    });
    expect((await upload("")).status).toBe(400);
  });

  it("lists a bounded number of errors and counts all", async () => {
    const summary = await json<BulkSummary>(upload(`${"x\n".repeat(5_000)}[1,2,3]\n`));
    expect(summary.rejected.rows).toBe(5_000);
    expect(summary.errors).toHaveLength(LIMITS.bulk.errors);
  });

  it("reads as a stream: what was sent first is stored while the upload goes on", async () => {
    const before = (await ingest.operator.jsm.streams.info("REQUESTS_TENSOR")).state.messages;
    const { hostname, port } = new URL(ingest.url);
    const sending = httpRequest({
      hostname,
      port,
      path: `${PATH}/bulk`,
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/jsonl" },
    });
    const answered = new Promise<number | undefined>((resolve, reject) => {
      sending.on("response", (response) => resolve(response.resume().statusCode));
      sending.on("error", reject);
    });
    sending.write(`${lines(1, 513).join("\n")}\n`);
    await eventually("the first pack is stored", async () => {
      const { messages } = (await ingest.operator.jsm.streams.info("REQUESTS_TENSOR")).state;
      return messages === before + 1 ? true : undefined;
    });
    sending.end(lines(514, 520).join("\n"));
    expect(await answered).toBe(202);
  });
});
