import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  answerSubmissions,
  type Bus,
  connectBus,
  consumeRequests,
  type Lanes,
  openLanes,
  openTable,
  provision,
  type RequestDelivery,
  type RequestVerdict,
  recordDurability,
} from "@millrace/bus";
import { decodeRequest, elementCount, ModelDeployment, type TokensFile, VERBS, type Verb } from "@millrace/contracts";
import { createLogger, createMetrics, Health } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { openTokenFile } from "../adapters/token-file.ts";
import { buildApp } from "../app.ts";
import { onSubmissionCalled, tooManySubmissions } from "../handlers/submission-called.ts";
import { openParts } from "../parts.ts";
import { SUM, WINDOW } from "./models.ts";

/** Ingest as it runs, on a real nats-server, with a worker that computes something simple. For tests only. */

const log = createLogger("test", process.env.TEST_LOG_LEVEL ?? "silent");

/** A row that holds this value is dead-lettered by the worker. */
export const POISON = 666;

export const TOKEN = "token-of-acme";
export const ENTRIES: TokensFile = [
  entry(TOKEN, "alice", [["acme", "plant", ...VERBS]]),
  entry("token-of-two", "bob", [
    ["acme", "plant", "submit", "read"],
    ["acme", "other", "submit", "read"],
  ]),
  entry("token-of-rival", "dan", [["rival", "plant", "submit", "read"]]),
  entry("token-that-reads", "carol", [["acme", "plant", "read"]]),
];

export function entry(token: string, principal: string, grants: [string, string, ...Verb[]][]): TokensFile[number] {
  return {
    sha256: createHash("sha256").update(token).digest("hex"),
    principal,
    grants: grants.map(([tenant, project, ...verbs]) => ({ tenant, project, verbs })),
  };
}

export type Ingest = Awaited<ReturnType<typeof startIngest>>;

/** Starts a broker and ingest on it. The worker is started by {@link Ingest.work}, so that tests can hold it back. */
export async function startIngest(options: { wait_max_s?: number } = {}) {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await natsServer());
  const as = (user: string) => connectAs(nats, user);

  const operator = stack.use(await as("operator"));
  await provision(operator, { replicas: 1 });
  await recordDurability(operator, { syncAlways: true, replicas: 1, evidence: "test" });
  const inference = stack.use(await as("inference"));
  const announced = stack.use(await openTable(inference, "models", ModelDeployment));
  for (const model of [SUM, WINDOW]) await announced.put(model.manifest.name, model);

  const directory = await mkdtemp(join(tmpdir(), "millrace-ingest-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const tokensFile = join(directory, "tokens.json");
  await writeFile(tokensFile, JSON.stringify(ENTRIES));

  const stopping = new AbortController();
  const bus = stack.use(await as("ingest"));
  const health = new Health();
  const tokens = stack.use(await openTokenFile(tokensFile, log, 50));
  const parts = await openParts(
    {
      bus,
      log,
      health,
      metrics: createMetrics("ingest"),
      signal: stopping.signal,
      tokens,
      wait_max_s: options.wait_max_s ?? 900,
      look_ms: 500,
    },
    (resource) => stack.use(resource),
  );
  const limit = { concurrency_max: 64, busy: tooManySubmissions };
  const submissions = stack.use(answerSubmissions(bus, limit, onSubmissionCalled(parts)));
  const lanesServed = stack.use(await openLanes(inference));
  const app = buildApp(parts);
  stack.defer(() => app.close());
  stack.defer(() => stopping.abort());
  await app.listen({ host: "127.0.0.1", port: 0 });
  health.started();
  const address = app.server.address();
  const url = `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  const owned = stack.move();

  return {
    url,
    nats,
    parts,
    streams: parts.streams,
    /** Ends the front of NATS alone. */
    stopSubmissions: () => submissions[Symbol.asyncDispose](),
    inference,
    operator,
    app,
    tokensFile,
    /** Calls with the usual token, unless the headers say otherwise. */
    call: (path: string, init: RequestInit = {}) =>
      fetch(url + path, { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...init.headers } }),
    announce: (model: ModelDeployment) => announced.put(model.manifest.name, model),
    work: (model = SUM, pace?: Pace) => work(inference, lanesServed, model, pace),
    stop: () => stopping.abort(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

type Broker = { url: string; passwordOf(user: string): string };
export const connectAs = (nats: Broker, user: string): Promise<Bus> =>
  connectBus({ url: nats.url, user, password: nats.passwordOf(user), log });

/** How slow a model is: so many milliseconds for each request, of which it takes so many at once. */
export type Pace = { ms: number; batch_max: number };

function work(bus: Bus, lanes: Lanes, model: ModelDeployment, { ms, batch_max }: Pace = { ms: 0, batch_max: 64 }) {
  return consumeRequests(bus, { model: model.manifest.name, lanes, batch_max, concurrency: 1 }, async (requests) => {
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms * requests.length));
    return requests.map((request) => verdict(request, model));
  });
}

function verdict(request: RequestDelivery, { manifest, digest }: ModelDeployment): RequestVerdict {
  const decoded = decodeRequest(request.body, manifest.inputs);
  if (!decoded.ok) return { kind: "reject", problem: decoded.problem };
  const [input] = decoded.value.inputs;
  const rows = input!.shape[0]!;
  const width = elementCount(input!.shape.slice(1));
  const total = new Float64Array(rows);
  for (let i = 0; i < input!.data.length; i++) {
    if (input!.data[i] === POISON)
      return { kind: "reject", problem: { code: "model-failed", detail: "a value is 666", at: "/inputs/0" } };
    total[Math.floor(i / width)]! += input!.data[i]!;
  }
  return {
    kind: "done",
    outcome: {
      model: { name: manifest.name, version: manifest.version, digest },
      runtime: { backend: "test", version: "1" },
      timing: { started_at: new Date().toISOString(), compute_ms: 0, batch_rows: rows },
      outputs: [{ name: "total", datatype: "FP64", shape: [rows, 1], data: total }],
    },
    binaryOutput: decoded.value.binaryOutput,
    ...(decoded.value.parameters === undefined ? {} : { parameters: decoded.value.parameters }),
  };
}

/** Polls until the condition gives a value. */
export async function eventually<T>(
  what: string,
  condition: () => Promise<T | undefined> | T | undefined,
  within_ms = 30_000,
): Promise<T> {
  const deadline = Date.now() + within_ms;
  for (;;) {
    const value = await condition();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${within_ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The JSON of a response, as the caller knows it to be. */
export const json = async <T>(response: Response | Promise<Response>): Promise<T> =>
  (await (await response).json()) as T;

export { SUM, WINDOW };
