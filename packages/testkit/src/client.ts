import type { AuditEntry, AuditPage, RequestState, Submission } from "@millrace/contracts";
import type { Run } from "@millrace/local";
import { eventually } from "./eventually.ts";

export type Submit = {
  model: string;
  /** An OIP body: an object is sent as JSON, bytes and text as they are. */
  body: object | string | Uint8Array;
  key?: string;
  headers?: Readonly<Record<string, string>>;
  /** How long to wait for the answer; 30 s. */
  timeout_ms?: number;
};

/** An HTTP answer with its JSON body, if it has one. */
export type Answer<T = unknown> = { status: number; headers: Headers; body: T };

/** The HTTP API, with the run's token. Nothing is retried unless it says so. */
export type HttpClient = {
  call(path: string, init?: RequestInit): Promise<Answer>;
  /** Sends a request to a model of the run's project. @throws unless it is accepted */
  submit(what: Submit): Promise<Submission>;
  /** The same without judging the answer. */
  trySubmit(what: Submit): Promise<Answer>;
  state(model: string, id: string): Promise<RequestState>;
  /** @throws when there is none in time (30 s) */
  waitForOutcome(model: string, id: string, within_ms?: number): Promise<NonNullable<RequestState["outcome"]>>;
  /** Every ledger entry that fits, oldest first, read page by page. */
  ledger(question?: Readonly<Record<string, string>>): Promise<AuditEntry[]>;
};

const TIMEOUT_MS = 30_000;
const PAGE = 1_000;
const PAGES_MAX = 10_000;

export function createClient(readRun: () => Run): HttpClient {
  const call: HttpClient["call"] = async (path, init = {}) => {
    const run = readRun();
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${run.token}`);
    const response = await fetch(`${run.http}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS), ...init, headers });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
  const project = () => {
    const { tenant, project } = readRun();
    return `/v1/${tenant}/${project}`;
  };
  const trySubmit: HttpClient["trySubmit"] = ({ model, body, key, headers = {}, timeout_ms = TIMEOUT_MS }) =>
    call(`${project()}/models/${model}/requests`, {
      method: "POST",
      signal: AbortSignal.timeout(timeout_ms),
      headers: {
        "content-type": "application/json",
        ...(key === undefined ? {} : { "idempotency-key": key }),
        ...headers,
      },
      body:
        typeof body === "string" || body instanceof Uint8Array ? (body as RequestInit["body"]) : JSON.stringify(body),
    });
  const state: HttpClient["state"] = async (model, id) => {
    const path = `${project()}/models/${model}/requests/${id}`;
    return expectStatus(await call(path), 200, path) as RequestState;
  };
  return {
    call,
    trySubmit,
    state,
    async submit(what) {
      return expectStatus(await trySubmit(what), 202, `submit to ${what.model}`) as Submission;
    },
    waitForOutcome: (model, id, within_ms = 30_000) =>
      eventually(
        async () => {
          const { outcome } = await state(model, id);
          if (outcome === null) throw new Error(`request ${id} is still pending`);
          return outcome;
        },
        { within_ms, every_ms: 50 },
      ),
    async ledger(question = {}) {
      const entries: AuditEntry[] = [];
      let after = 0;
      for (let page = 0; page < PAGES_MAX; page++) {
        const query = new URLSearchParams({ limit: String(PAGE), ...question, after: String(after) });
        const answer = expectStatus(await call(`/v1/audit/entries?${query}`), 200, "the ledger") as AuditPage;
        entries.push(...answer.entries);
        if (answer.next === undefined) return entries;
        after = answer.next;
      }
      throw new Error(`the ledger has more than ${PAGES_MAX} pages`);
    },
  };
}

function expectStatus({ status, body }: Answer, expected: number, what: string): unknown {
  if (status === expected) return body;
  throw new Error(`${what} answered ${status} instead of ${expected}: ${JSON.stringify(body).slice(0, 500)}`);
}
