/** For tests of the way in: a real nats-server and ingest, a worker, a local Service Bus, the bridge; all but the worker as processes. */
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type OutgoingMessage, openServiceBus, type ReceivedMessage } from "@millrace/azure";
import { consumeRequests, openLanes, openTable, type RequestDelivery } from "@millrace/bus";
import { decodeRequest, digestOf, ModelDeployment, REQUESTS_TENSOR } from "@millrace/contracts";
import { line, surroundings } from "./surroundings.ts";

export type Inbound = Awaited<ReturnType<typeof inbound>>;

/** Short, so that a message whose taker died comes back soon. */
const LOCK = { LockDuration: "PT5S" };
/** More than the kills of any test, or a message could be dead-lettered by chance. */
const DELIVERIES_MAX = 20;

const CONTROL_TOKEN = "a-token-for-faults-only";

const entities = {
  UserConfig: {
    Namespaces: [
      {
        Queues: [
          { Name: "requests", Properties: { ...LOCK, MaxDeliveryCount: DELIVERIES_MAX } },
          { Name: "by-sensor", Properties: { ...LOCK, RequiresSession: true, MaxDeliveryCount: DELIVERIES_MAX } },
          { Name: "replies", Properties: { RequiresDuplicateDetection: true } },
          { Name: "small-replies", Properties: { MaxMessageSizeInKilobytes: 1 } },
          { Name: "replies-by-session", Properties: { RequiresSession: true, RequiresDuplicateDetection: true } },
        ],
        Topics: [{ Name: "readings", Subscriptions: [{ Name: "millrace", Properties: LOCK }] }],
      },
    ],
  },
};

export const SOURCES = [
  { name: "orders", queue: "requests", tenant: "acme", project: "plant" },
  { name: "sensors", queue: "by-sensor", sessions: true, tenant: "acme", project: "plant", model: "sum" },
  { name: "news", topic: "readings", subscription: "millrace", tenant: "acme", project: "plant", model: "sum" },
];

const SUM: ModelDeployment = {
  manifest: {
    name: "sum",
    version: "1",
    runner: "tensorflow",
    format: "layers",
    description: "Adds up three readings",
    inputs: [{ name: "reading", datatype: "FP32", shape: [-1, 3], features: ["a", "b", "c"] }],
    outputs: [{ name: "total", datatype: "FP64", shape: [-1, 1] }],
    batch: { rows_max: 512 },
    timeout_ms: 1_000,
  },
  digest: digestOf(Buffer.from("sum")),
};

/** A reading that the model fails on. */
export const FAILS = 666;

export async function inbound() {
  await using stack = new AsyncDisposableStack();
  const around = stack.use(await surroundings(entities));
  const { nats, operator, inference, connectionString } = around;
  const announced = stack.use(await openTable(inference, "models", ModelDeployment));
  await announced.put("sum", SUM);
  const tokens = path.join(around.dir, "tokens.json");
  await writeFile(tokens, "[]");
  const routes = path.join(around.dir, "inbound.json");
  await writeFile(routes, JSON.stringify({ routes: [], sources: SOURCES }));
  let broker = await around.startServiceBus({ CONTROL_TOKEN });
  const serviceBus = stack.use(await openServiceBus({ connectionString }));
  const owned = stack.move();
  return {
    ...around,
    serviceBus: () => broker,
    async startServiceBus() {
      broker = await around.startServiceBus({ CONTROL_TOKEN });
    },
    /** Something goes wrong at Service Bus from now on; it ends by itself. */
    async fault(fault: object): Promise<void> {
      const { port } = new URL(/sb:(\/\/[^;]+)/.exec(connectionString)![1]!, "http://x");
      const response = await fetch(`http://127.0.0.1:${port}/$emulator/faults/it`, {
        method: "PUT",
        headers: { authorization: `Bearer ${CONTROL_TOKEN}`, "content-type": "application/json" },
        body: JSON.stringify(fault),
      });
      if (!response.ok) throw new Error(await response.text());
    },
    async startIngest(): Promise<ChildProcess> {
      const child = around.launch(path.join(import.meta.dirname, "../../../ingest/src/main.ts"), {
        NATS_URL: nats.url,
        NATS_PASSWORD: nats.passwordOf("ingest"),
        HTTP_PORT: "0",
        TOKENS_FILE: tokens,
      });
      await line(child, ({ msg }) => msg === "ready");
      return child;
    },
    startBridge: (settings: Record<string, string> = {}) => around.startBridge({ ROUTES_FILE: routes, ...settings }),
    /** Answers every request of the model, until disposed. */
    async work() {
      const lanes = await openLanes(inference);
      const work = await consumeRequests(
        inference,
        { model: "sum", lanes, batch_max: 64, concurrency: 1 },
        async (all) => all.map(verdict),
      );
      return {
        async [Symbol.asyncDispose]() {
          await work[Symbol.asyncDispose]();
          lanes[Symbol.dispose]();
        },
      };
    },
    async send(queue: string, messages: readonly OutgoingMessage[]): Promise<void> {
      await using sender = serviceBus.sender(queue);
      for (const result of await sender.sendAll(messages)) if (!result.ok) throw new Error(result.why);
    },
    /** Takes what is in a queue until so many have come. */
    async take(queue: string, count: number, options: { sessions?: boolean; within_ms?: number } = {}) {
      const taken: ReceivedMessage[] = [];
      const onMessage = async (locked: { message: ReceivedMessage; complete(): Promise<unknown> }) => {
        taken.push(locked.message);
        await locked.complete();
      };
      const all = { onMessage, onState: () => {} };
      await using _receiver = options.sessions
        ? serviceBus.receiveSessions({ queue }, { ...all, sessions: 4, idle_ms: 200 })
        : serviceBus.receive({ queue }, { ...all, concurrency: 16 });
      const deadline = performance.now() + (options.within_ms ?? 30_000);
      while (taken.length < count) {
        if (performance.now() > deadline) throw new Error(`${taken.length} of ${count} messages came from ${queue}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return taken;
    },
    /** What is in an entity now, and among its dead letters. */
    async look(queue: string) {
      const [waiting, dead] = await Promise.all([
        serviceBus.peek({ queue }, { count: 1_000 }),
        serviceBus.peek({ queue }, { count: 1_000, deadLetters: true }),
      ]);
      return { waiting, dead };
    },
    /** How many requests are stored; of each id there can be one. */
    requests: async () => (await operator.jsm.streams.info(REQUESTS_TENSOR.name)).state.messages,
    /** Bodies of the stored requests, in stream order. */
    async bodies(): Promise<string[]> {
      const { state } = await operator.jsm.streams.info(REQUESTS_TENSOR.name);
      const found: string[] = [];
      for (let seq = state.first_seq; seq <= state.last_seq; seq++)
        found.push(Buffer.from((await operator.jsm.streams.getMessage(REQUESTS_TENSOR.name, { seq })).data).toString());
      return found;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A request for the sum of three numbers. */
export const reading = (...data: number[]): Buffer =>
  Buffer.from(JSON.stringify({ inputs: [{ name: "reading", datatype: "FP32", shape: [1, 3], data }] }));

export const request = (messageId: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  messageId,
  body: reading(1, 2, Number.parseInt(createHash("md5").update(messageId).digest("hex").slice(0, 6), 16)),
  contentType: "application/json",
  applicationProperties: { model: "sum" },
  ...more,
});

function verdict(asked: RequestDelivery) {
  const decoded = decodeRequest(asked.body, SUM.manifest.inputs);
  if (!decoded.ok) return { kind: "reject" as const, problem: decoded.problem };
  const values = [...decoded.value.inputs[0]!.data];
  if (values.includes(FAILS))
    return { kind: "reject" as const, problem: { code: "model-failed" as const, detail: "a value is 666" } };
  const total = new Float64Array([values.reduce((sum, value) => sum + value, 0)]);
  return {
    kind: "done" as const,
    outcome: {
      model: { name: "sum", version: "1", digest: SUM.digest },
      runtime: { backend: "test", version: "1" },
      timing: { started_at: new Date().toISOString(), compute_ms: 0, batch_rows: 1 },
      outputs: [{ name: "total", datatype: "FP64" as const, shape: [1, 1], data: total }],
    },
    binaryOutput: false,
  };
}
