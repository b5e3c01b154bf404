import type { RequestState, Submission } from "@millrace/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Ingest, json, startIngest } from "./testing/ingest.ts";

let ingest: Ingest;
beforeAll(async () => {
  ingest = await startIngest();
}, 30_000);
afterAll(() => ingest?.[Symbol.asyncDispose]());

const SUM = "/v1/acme/plant/models/sum/requests";
const body = (...rows: number[][]) =>
  JSON.stringify({ inputs: [{ name: "reading", datatype: "FP32", shape: [rows.length, 3], data: rows }] });
const post = (text: string, headers: Record<string, string> = {}, path = SUM) =>
  ingest.call(path, { method: "POST", body: text, headers: { "content-type": "application/json", ...headers } });

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

    const pending = await json<RequestState>(ingest.call(accepted.links.self));
    expect(pending).toEqual({ id: accepted.id, state: "pending", outcome: null });
    await using _worker = await ingest.work();
    const done = await eventually("the outcome", async () => {
      const state = await json<RequestState>(ingest.call(accepted.links.self));
      return state.state === "done" ? state : undefined;
    });
    expect(done.outcome).toMatchObject({
      outputs: [{ name: "total", datatype: "FP64", shape: [1, 1], data: [6] }],
      request: { correlation_id: "order-7", principal: "alice", rows: 1, digest: accepted.digest },
    });
  });
});
