import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus, consumeEvents, done, provision } from "@millrace/bus";
import { encodeDone, freshRequestId, InferenceCompleted, outcomeFilter, outcomeSubject } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { type Broker, type BrokerConfig, start } from "@millrace/servicebus";
import { eventually, natsServer } from "@millrace/testkit";
import { afterEach, beforeEach, expect, it } from "vitest";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const SUBSCRIPTION = "predictions/Subscriptions/enterprise";
const KEY = "a-key-for-this-test-only";
const DIGEST = `sha256:${"0".repeat(64)}`;
const log = createLogger("bridge-test", "fatal");

const config = (): BrokerConfig => ({
  UserConfig: {
    Namespaces: [
      {
        Topics: [
          {
            Name: "predictions",
            Properties: { RequiresDuplicateDetection: true, MaxMessageSizeInKilobytes: 64 },
            Subscriptions: [{ Name: "enterprise" }],
          },
        ],
      },
    ],
  },
});

let stack: AsyncDisposableStack;
let nats: Awaited<ReturnType<typeof natsServer>>;
let operator: Bus;
let dataDir: string;
let port: number;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  nats = stack.use(await natsServer());
  const as = { url: nats.url, user: "operator", password: nats.passwordOf("operator"), log };
  operator = stack.use(await connectBus(as));
  await provision(operator, { replicas: 1 });
  dataDir = await mkdtemp(path.join(tmpdir(), "millrace-bridge-"));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  port = await freePort();
});
afterEach(() => stack.disposeAsync());

const serviceBus = (): Promise<Broker> =>
  start({ port, host: "127.0.0.1", config: config(), dataDir, sharedAccessKey: KEY });

/** The real bridge process; its readiness, and a way to end it. */
async function bridge() {
  const healthPort = await freePort();
  const child = spawn(process.execPath, [MAIN], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      PATH: process.env.PATH,
      LOG_LEVEL: "fatal",
      NATS_URL: nats.url,
      NATS_PASSWORD: nats.passwordOf("bridge"),
      HEALTH_PORT: String(healthPort),
      SERVICEBUS_CONNECTION_STRING: `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${KEY};UseDevelopmentEmulator=true;`,
    },
  });
  const exit = once(child, "exit");
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return (await exit) as [number | null, NodeJS.Signals | null];
  };
  stack.defer(async () => void (await end("SIGKILL")));
  const ready = async () => {
    const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
    return { status: answer.status, body: await answer.text() };
  };
  await eventually(ready, { within_ms: 15_000 });
  return { end, ready };
}

/** Stores `count` outcomes as inference would; answers their request ids. */
async function outcomes(count: number, padding = ""): Promise<string[]> {
  const ids = Array.from({ length: count }, () => freshRequestId());
  await Promise.all(
    ids.map((id) => {
      const address = { tenant: "acme", project: "plant", model: "m", id };
      const subject = outcomeSubject({ ...address, state: "done" });
      const time = new Date().toISOString();
      const body = encodeDone(
        {
          id,
          attempt: 1,
          tenant: "acme",
          project: "plant",
          request: { digest: DIGEST, stream: "S", sequence: 1, subject: "s", accepted_at: time, correlation_id: id },
          completed_at: time,
          model: { name: "m", version: "1", digest: DIGEST },
          runtime: { backend: "test", version: padding },
          timing: { started_at: time, compute_ms: 0, batch_rows: 1 },
          outputs: [{ name: "y", datatype: "FP32", shape: [1, 1], data: new Float32Array([0.5]) }],
        },
        "json",
      );
      const envelope = {
        id: `${id}.1`,
        type: InferenceCompleted.type,
        source: "/millrace/inference",
        subject,
        time,
        datacontenttype: "application/json",
        correlationid: id,
      };
      return operator.store({ subject, exclusive: outcomeFilter(address), body: body.bytes, envelope });
    }),
  );
  return ids;
}

const settled = async (broker: Broker, count: number, within_ms = 30_000) =>
  eventually(
    async () => {
      const info = await operator.jsm.consumers.info("OUTCOMES", "bridge-predictions");
      expect({
        active: broker.inspect(SUBSCRIPTION).active,
        pending: info.num_pending,
        unacked: info.num_ack_pending,
      }).toEqual({
        active: count,
        pending: 0,
        unacked: 0,
      });
    },
    { within_ms },
  );

it("mirrors every outcome once, also when it is killed between send and ack", async () => {
  const broker = stack.use(await serviceBus());
  await outcomes(3_000);
  const first = await bridge();
  await eventually(() => expect(broker.inspect(SUBSCRIPTION).active).toBeGreaterThan(200), {
    within_ms: 15_000,
    every_ms: 1,
  });
  await first.end("SIGKILL");
  await bridge();
  // What the killed process had not acked comes back after the consumer's ack wait.
  await settled(broker, 3_000, 60_000);
}, 90_000);

it("holds outcomes while Service Bus is away, says so, and goes on by itself", async () => {
  const { ready } = await bridge();
  await outcomes(500);
  await eventually(
    async () => {
      const answer = await ready();
      expect(answer.status).toBe(503);
      expect(answer.body).toContain("ECONNREFUSED");
    },
    { within_ms: 30_000 },
  );
  const first = await serviceBus();
  await settled(first, 500);
  expect((await ready()).status).toBe(200);
  await first.close();
  await outcomes(500);
  const second = stack.use(await serviceBus());
  await settled(second, 1_000, 60_000);
}, 120_000);

it("goes on after nats-server was killed", async () => {
  const broker = stack.use(await serviceBus());
  await bridge();
  await outcomes(300);
  await settled(broker, 300);
  await nats.kill();
  await nats.restart();
  await outcomes(300);
  await settled(broker, 600, 60_000);
}, 90_000);

it("records what the entity can never take as a failed delivery, and lets the others through", async () => {
  const broker = stack.use(await serviceBus());
  const [large] = await outcomes(1, "x".repeat(100 * 1024));
  await outcomes(10);
  const failed: unknown[] = [];
  stack.use(
    await consumeEvents(operator, { durable: "test", batch_max: 10, concurrency: 1 }, async (events) =>
      events.map((event) => {
        failed.push(JSON.parse(Buffer.from(event.body).toString()));
        return done();
      }),
    ),
  );
  const { end } = await bridge();
  await settled(broker, 10);
  await eventually(() => expect(failed).toHaveLength(1), { within_ms: 10_000 });
  expect(failed[0]).toMatchObject({ outcome_id: `${large}.1`, channel: "servicebus", code: "delivery-refused" });
  expect(await end("SIGTERM")).toEqual([0, null]);
}, 60_000);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port: free } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return free;
}
