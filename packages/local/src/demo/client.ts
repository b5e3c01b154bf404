import { randomUUID } from "node:crypto";
import type { AuditPage, Outcome, RequestState } from "@millrace/contracts";
import { requestIdFor } from "@millrace/contracts/ids";
import type { Run } from "../run-file.ts";

const TIMEOUT_MS = 15_000;

export type Prediction = { id: string; outcome: Outcome; took_ms: number };

/** Where the API is, and as whom of which project it is used. */
export type Api = Pick<Run, "http" | "token" | "tenant" | "project">;

/** The few routes of the HTTP API that the demonstration uses. */
export type Client = {
  /**
   * Submits one reading and waits for its outcome. `onId` learns the request's id before it is sent: its outcome may
   * reach another end before it reaches us.
   */
  predict(model: string, input: string, values: readonly number[], onId: (id: string) => void): Promise<Prediction>;
  /** The ledger's entries about a request. */
  ledger(requestId: string): Promise<AuditPage>;
};

/** @throws from its functions when an answer is not a success, with the answer's own words */
export function createClient(api: Api, signal: AbortSignal): Client {
  const { http, token, tenant, project } = api;
  const call = async (path: string, { headers, ...init }: RequestInit & { headers?: Record<string, string> } = {}) => {
    const response = await fetch(`${http}${path}`, {
      ...init,
      headers: { ...headers, authorization: `Bearer ${token}` },
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    const body = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${body.slice(0, 300)}`);
    return JSON.parse(body);
  };
  return {
    async predict(model, input, values, onId) {
      const began = performance.now();
      const key = randomUUID();
      onId(requestIdFor({ tenant, project, model, key }));
      const inputs = [{ name: input, datatype: "FP32", shape: [1, values.length], data: values }];
      const { id, outcome }: RequestState = await call(`/v1/${tenant}/${project}/models/${model}/requests`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key, prefer: "wait=10" },
        body: JSON.stringify({ inputs }),
      });
      if (!outcome) throw new Error(`request ${id} was accepted, but no outcome came within 10 s`);
      return { id, outcome, took_ms: performance.now() - began };
    },
    ledger: (requestId) => call(`/v1/audit/entries?id=${requestId}`),
  };
}
