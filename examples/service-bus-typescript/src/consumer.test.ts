import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { ServiceBusClient, type ServiceBusMessage } from "@azure/service-bus";
import { type Broker, type BrokerConfig, start } from "@millrace/servicebus";
import { expect, test } from "vitest";

/*
 * What any consumer of these messages must do. `CONSUMER` names another one than this, such as the Python one:
 *   CONSUMER='../service-bus-python/.venv/bin/python ../service-bus-python/consumer.py' pnpm test
 */
const [command, ...commandArgs] = process.env.CONSUMER?.split(" ") ?? [
  process.execPath,
  path.join(import.meta.dirname, "main.ts"),
];

const config: BrokerConfig = {
  UserConfig: {
    Namespaces: [
      {
        Topics: [{ Name: "predictions", Subscriptions: [{ Name: "enterprise" }] }],
        Queues: [{ Name: "by-sensor", Properties: { RequiresSession: true } }],
      },
    ],
  },
};
const SUBSCRIPTION = "predictions/Subscriptions/enterprise";
const WAIT_MS = 60_000;

const outcome = (id: string, more: Partial<ServiceBusMessage> = {}): ServiceBusMessage => ({
  messageId: `${id}.1:predictions`,
  correlationId: `c-${id}`,
  contentType: "application/json",
  applicationProperties: {
    "cloudEvents:type": "millrace.inference.completed.v1",
    tenant: "acme",
    model: "pump",
    state: "done",
    requestSequence: 7,
  },
  body: Buffer.from(`{"id":"${id}","state":"done"}`),
  ...more,
});

/** A place for a consumer and its store, with a local Service Bus. */
async function open(port = 0) {
  const dir = await mkdtemp(path.join(tmpdir(), "consumer-"));
  const dataDir = path.join(dir, "servicebus");
  const broker = () => start({ port, host: "127.0.0.1", config, dataDir, sharedAccessKey: "a test's key" });
  const stack = new AsyncDisposableStack();
  stack.defer(() => rm(dir, { recursive: true }));
  const local = stack.use(await broker());
  return {
    local,
    restart: async () => stack.use(await broker()),
    async send(entity: string, messages: ServiceBusMessage[], to: Broker = local) {
      const client = new ServiceBusClient(to.connectionString);
      await client.createSender(entity).sendMessages(messages);
      await client.close();
    },
    consumer: (env: Record<string, string> = {}) => {
      const { connectionString } = local;
      const STORE = path.join(dir, "handled.sqlite");
      const child = consumer({ SERVICEBUS_CONNECTION_STRING: connectionString, STORE, ...env });
      stack.defer(() => void child.process.kill("SIGKILL"));
      return child;
    },
    predictions() {
      const database = new DatabaseSync(path.join(dir, "handled.sqlite"), { readOnly: true });
      const rows = database.prepare("SELECT * FROM predictions ORDER BY rowid").all();
      database.close();
      return rows as { message_id: string; correlation_id: string; leaf_hash: string; body: string }[];
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function consumer(env: Record<string, string>) {
  const child: ChildProcess = spawn(command!, commandArgs, {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", process.env.TEST_SHOW_LOGS ? "inherit" : "ignore"],
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout! }).on("line", (line) => lines.push(line));
  const ended = once(child, "exit");
  return {
    process: child,
    lines,
    /** Until so many lines begin with this. */
    said: (beginning: string, count = 1) =>
      eventually(
        () => lines.filter((line) => line.startsWith(beginning)).length >= count,
        () => lines.join("\n"),
      ),
    async stop(signal: NodeJS.Signals = "SIGTERM") {
      child.kill(signal);
      return await ended;
    },
  };
}

async function eventually(check: () => boolean, state: () => string = () => ""): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!check()) {
    if (Date.now() > deadline) throw new Error(`it did not happen within ${WAIT_MS} ms\n${state()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a message takes effect once, however often it comes, and its digest is the ledger's", async () => {
  await using it = await open();
  await it.send("predictions", [outcome("a"), outcome("b"), outcome("a")]);
  const child = it.consumer();
  await child.said("done", 2);
  await child.said("repeat a.1:predictions");
  await eventually(() => it.local.inspect(SUBSCRIPTION).active + it.local.inspect(SUBSCRIPTION).locked === 0);
  expect(await child.stop()).toEqual([0, null]);
  expect(child.lines[0]).toBe("reading predictions/enterprise; Ctrl-C ends");
  expect(child.lines.at(-1)).toBe("stopped");
  const body = '{"id":"a","state":"done"}';
  expect(
    it
      .predictions()
      .map((row) => row.message_id)
      .sort(),
  ).toEqual(["a.1:predictions", "b.1:predictions"]);
  expect(it.predictions().find((row) => row.correlation_id === "c-a")).toMatchObject({
    body,
    leaf_hash: createHash("sha256").update(`\0${body}`).digest("hex"),
  });
});

test("it remembers what it handled across restarts", async () => {
  await using it = await open();
  for (const first of [true, false]) {
    await it.send("predictions", [outcome("a")]);
    const child = it.consumer();
    await child.said(first ? "done a" : "repeat a");
    expect(await child.stop("SIGINT")).toEqual([0, null]);
  }
  expect(it.predictions()).toHaveLength(1);
});

test("what it cannot read goes to the dead-letter queue with the reason, and holds nobody up", async () => {
  await using it = await open();
  const newer = { "cloudEvents:type": "millrace.inference.completed.v9" };
  await it.send("predictions", [
    outcome("new", { applicationProperties: newer }),
    outcome("broken", { body: Buffer.from("{") }),
    outcome("good"),
  ]);
  const child = it.consumer();
  await child.said("done good");
  await child.said("dead-lettered", 2);
  expect(await child.stop()).toEqual([0, null]);
  const client = new ServiceBusClient(it.local.connectionString);
  const dead = client.createReceiver("predictions", "enterprise", { subQueueType: "deadLetter" });
  const messages = await dead.receiveMessages(2, { maxWaitTimeInMs: 10_000 });
  await client.close();
  expect(messages.map(({ messageId, deadLetterReason }) => [messageId, deadLetterReason]).sort()).toEqual([
    ["broken.1:predictions", "unreadable"],
    ["new.1:predictions", "unknown-type"],
  ]);
});

test("sessions are handled side by side, each in its order, by as many consumers as run", async () => {
  await using it = await open();
  const sensors = ["s1", "s2", "s3"];
  const messages = Array.from({ length: 30 }, (_, n) => outcome(`m${n}`, { sessionId: sensors[n % 3]! }));
  await it.send("by-sensor", messages);
  const both = [
    it.consumer({ QUEUE: "by-sensor", SESSIONS: "true" }),
    it.consumer({ QUEUE: "by-sensor", SESSIONS: "true" }),
  ];
  // One of them may be through with everything before the other has started.
  for (const child of both) await child.said("reading by-sensor by session; Ctrl-C ends");
  const done = () => both.flatMap(({ lines }) => lines.filter((line) => line.startsWith("done")));
  await eventually(
    () => done().length === 30,
    () => both.map(({ lines }) => lines.join("\n")).join("\n\n"),
  );
  for (const child of both) expect(await child.stop()).toEqual([0, null]);
  const order = it.predictions().map(({ message_id }) => Number(/^m(\d+)/.exec(message_id)![1]));
  for (const [n] of sensors.entries()) {
    const ofSensor = order.filter((one) => one % 3 === n);
    expect(ofSensor).toEqual(ofSensor.toSorted((a, b) => a - b));
  }
});

test("it goes on by itself after the namespace was away", async () => {
  const port = await freePort();
  await using it = await open(port);
  await it.send("predictions", [outcome("before")]);
  const child = it.consumer();
  await child.said("done before");
  await it.local.close();
  const again = await it.restart();
  await it.send("predictions", [outcome("after")], again);
  await child.said("done after");
  expect(await child.stop()).toEqual([0, null]);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
