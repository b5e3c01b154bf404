import { OPERATIONS, type Operation, type OperationId, type ProblemDocument } from "@millrace/contracts";
import type { Connection } from "./connection.ts";
import { EXIT, type ExitCode, Failure } from "./failure.ts";

export type Call = {
  params?: Readonly<Record<string, string>>;
  query?: Readonly<Record<string, string | number | undefined>>;
  body?: unknown;
};

/** The operations of the HTTP API, as its contract names them. */
export type Client = {
  /** The JSON of an answer. @throws Failure when the server refuses or cannot be reached */
  json<T>(operation: OperationId, call?: Call): Promise<T>;
  /** The bytes of an answer, with its headers. @throws Failure when the server refuses or cannot be reached */
  bytes(operation: OperationId, call?: Call): Promise<{ body: Uint8Array; headers: Headers }>;
};

/** The longest that one answer may take: the books of many millions of requests. */
const TIMEOUT_MS = 600_000;
/** Answers that say "not now" rather than "no". */
const NOT_NOW = [429, 502, 503, 504];

export function createClient({ url, token }: Connection, timeout_ms = TIMEOUT_MS): Client {
  const send = async (id: OperationId, { params = {}, query = {}, body }: Call = {}): Promise<Response> => {
    const operation: Operation = OPERATIONS[id];
    const target = new URL(url);
    const root = target.pathname.replace(/\/$/, "");
    target.pathname =
      root + operation.path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name]!));
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) target.searchParams.set(name, String(value));
    let response: Response;
    try {
      response = await fetch(target, {
        method: operation.method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: "error", // the token is for this server
        signal: AbortSignal.timeout(timeout_ms),
      });
    } catch (cause) {
      throw unreachable(url, cause);
    }
    if (response.ok) return response;
    throw await refusal(response, url);
  };
  return {
    json: async <T>(id: OperationId, call?: Call) => {
      const response = await send(id, call);
      const text = await orUnreachable(url, response.text());
      try {
        return JSON.parse(text) as T;
      } catch (cause) {
        throw strange(url, response, cause);
      }
    },
    bytes: async (id, call) => {
      const response = await send(id, call);
      return { headers: response.headers, body: new Uint8Array(await orUnreachable(url, response.arrayBuffer())) };
    },
  };
}

async function orUnreachable<T>(url: URL, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    throw unreachable(url, cause);
  }
}

function unreachable(url: URL, cause: unknown): Failure {
  const { message, cause: inner, name } = cause as Error;
  const why =
    name === "TimeoutError" ? "it did not answer in time" : ((inner as Error | undefined)?.message ?? message);
  return new Failure(EXIT.unavailable, {
    what: `${url.origin} cannot be reached`,
    why: why || "the connection failed",
    fix: "Check that Millrace runs there, and the address (--url, MILLRACE_URL, --data).",
    cause,
  });
}

/** An answer that is not Millrace's: another server is there, or a proxy between. */
const strange = (url: URL, response: Response, cause?: unknown): Failure =>
  new Failure(NOT_NOW.includes(response.status) ? EXIT.unavailable : EXIT.refused, {
    what: `${url.origin} answered ${response.status}, not as Millrace does`,
    fix: "Check the address, and any proxy in between.",
    cause,
  });

async function refusal(response: Response, url: URL): Promise<Failure> {
  const text = await orUnreachable(url, response.text());
  let document: Partial<ProblemDocument>;
  try {
    document = JSON.parse(text) as Partial<ProblemDocument>;
  } catch (cause) {
    return strange(url, response, cause);
  }
  if (typeof document?.code !== "string" || typeof document.title !== "string") return strange(url, response);
  const exitCode: ExitCode = NOT_NOW.includes(response.status) ? EXIT.unavailable : EXIT.refused;
  return new Failure(exitCode, {
    what: `${document.title} (${document.code})`,
    ...(document.detail === undefined
      ? {}
      : { why: document.at ? `${document.detail} (${document.at})` : document.detail }),
    ...(document.fix === undefined ? {} : { fix: document.fix }),
    document: document as ProblemDocument,
  });
}
