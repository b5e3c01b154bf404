/** For tests of the whole service: a real nats-server with its streams, and the service as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import {
  type Bus,
  connectBus,
  followOutcomes,
  provision,
  publishRequest,
  recordDurability,
  type StoredOutcome,
} from "@millrace/bus";
import {
  encodeRequest,
  freshRequestId,
  type Manifest,
  OUTCOMES,
  type RequestParameters,
  rowCount,
  type Tensor,
} from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";

const log = createLogger("test", process.env.TEST_LOG_LEVEL ?? "silent");

/** A broker with streams and buckets, and the connections of the operator and of ingest. */
export async function broker() {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await natsServer());
  const as = async (user: string) =>
    stack.use(await connectBus({ url: server.url, user, password: server.passwordOf(user), log }));
  const operator = await as("operator");
  await provision(operator, { replicas: 1 });
  await recordDurability(operator, { syncAlways: true, replicas: 1, evidence: "test" });
  return { server, operator, ingest: await as("ingest"), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
export type Broker = Awaited<ReturnType<typeof broker>>;

export interface RunningService extends AsyncDisposable {
  readonly process: ChildProcess;
  /** What it logged, parsed. */
  readonly lines: readonly Record<string, unknown>[];
  /** Pids of its model processes. */
  modelProcesses(): number[];
  /** SIGTERM; the exit code. */
  stop(): Promise<number | null>;
}

/** Starts the service from source and waits until it says that it is ready. */
export async function startService(
  { server }: Broker,
  settings: Readonly<Record<string, string>>,
): Promise<RunningService> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "../main.ts")], {
    env: {
      PATH: process.env.PATH,
      NATS_URL: server.url,
      NATS_PASSWORD: server.passwordOf("inference"),
      ...settings,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let complaints = "";
  child.stderr.on("data", (chunk) => {
    complaints += chunk;
  });
  const lines: Record<string, unknown>[] = [];
  const ready = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const parsed = JSON.parse(line);
    lines.push(parsed);
    if (parsed.msg === "ready") ready.resolve();
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  void exited.then((code) =>
    ready.reject(new Error(`inference ended with ${code}: ${JSON.stringify(lines)} ${complaints}`)),
  );
  await within(30_000, ready.promise, "the service is not ready");
  return {
    process: child,
    lines,
    modelProcesses: () =>
      readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    async stop() {
      child.kill("SIGTERM");
      return await within(25_000, exited, "the service does not stop");
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

export interface Asked {
  readonly project: string;
  readonly model: Manifest;
  readonly digest: string;
  readonly inputs: readonly Tensor[];
  readonly form?: "json" | "binary";
  readonly binaryOutput?: boolean;
  readonly parameters?: RequestParameters;
}

/** Publishes a request as ingest does; its id. */
export async function ask(
  bus: Bus,
  { project, model, digest, inputs, form = "json", binaryOutput = false, parameters }: Asked,
) {
  const id = freshRequestId();
  await publishRequest(bus, {
    tenant: "acme",
    project,
    model: model.name,
    id,
    priority: "normal",
    body: encodeRequest({ inputs: [...inputs], binaryOutput, ...(parameters ? { parameters } : {}) }, form),
    rows: rowCount(inputs),
    modelVersion: model.version,
    modelDigest: digest,
    correlationId: id,
  });
  return id;
}

/** The outcomes of a project by request id, once there are `count`. Also checks that there are no more than that. */
export async function outcomesOf(
  { operator }: Broker,
  { project, count, timeout_ms = 60_000 }: { project: string; count: number; timeout_ms?: number },
): Promise<Map<string, StoredOutcome>> {
  const found = new Map<string, StoredOutcome>();
  const signal = AbortSignal.timeout(timeout_ms);
  for await (const outcome of followOutcomes(operator, { tenant: "acme", project }, { after: 0, signal })) {
    found.set(outcome.address.id, outcome);
    if (found.size === count) break;
  }
  if (found.size < count) throw new Error(`${found.size} of ${count} outcomes within ${timeout_ms} ms`);
  const filter = { subjects_filter: `out.acme.${project}.>` };
  const { subjects } = (await operator.jsm.streams.info(OUTCOMES.name, filter)).state;
  const stored = Object.values(subjects ?? {}).reduce((sum, messages) => sum + messages, 0);
  if (stored !== count) throw new Error(`${stored} outcomes are stored for ${count} requests`);
  return found;
}

export async function within<T>(timeout_ms: number, promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} within ${timeout_ms} ms`)), timeout_ms);
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
