import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Bus, connectBus, consumeInOrder, provision, recordDurability, type StoredMessage } from "@millrace/bus";
import { consumerName, type DoneRecord, freshRequestId } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { doneRecord, natsServer, storeOutcome } from "@millrace/testkit";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startNotifier } from "./testing/notifier-process.ts";
import { type Receiver, startReceiver } from "./testing/receiver.ts";

// Each test starts real processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const log = createLogger("notifier-test", process.env.LOG_LEVEL ?? "fatal");
const SECRET = `whsec_${randomBytes(32).toString("base64")}`;

let stack: AsyncDisposableStack;
let server: Awaited<ReturnType<typeof natsServer>>;
let operator: Bus;
let inference: Bus;
let receiver: Receiver;
let dir: string;
/** What was recorded of deliveries, by rule. */
let events: { type: string; data: Record<string, unknown> }[];

const as = async (user: "operator" | "inference") =>
  stack.use(await connectBus({ url: server.url, user, password: server.passwordOf(user), log }));

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  server = stack.use(await natsServer());
  receiver = stack.use(await startReceiver());
  dir = await mkdtemp(path.join(tmpdir(), "millrace-notifier-"));
  stack.defer(() => rm(dir, { recursive: true }));
  operator = await as("operator");
  await provision(operator, { replicas: 1 });
  await recordDurability(operator, { syncAlways: true, replicas: 1, evidence: "test" });
  inference = await as("inference");
  events = [];
  const reader = {
    position: () => undefined,
    take: (messages: readonly StoredMessage[]) => {
      for (const message of messages)
        events.push({ type: message.header("ce-type")!, data: JSON.parse(Buffer.from(message.body).toString()) });
    },
  };
  stack.use(consumeInOrder(operator, { stream: "EVENTS", durable: "test", batch_max: 100 }, reader));
});
afterEach(() => stack.disposeAsync());

const rule = (over: Record<string, unknown> = {}, url = `http://127.0.0.1:${receiver.port}/hook`) => ({
  name: "alarm",
  webhook: { url, secret: { env: "ALARM_SECRET" } },
  ...over,
});
const whenRisky = { output: "failure_probability", op: ">=", value: 0.8 };

const start = async (rules: readonly unknown[], env: Record<string, string> = {}) =>
  stack.use(
    await startNotifier(server, dir, {
      rules,
      env: { ALARM_SECRET: SECRET, ALLOW_PRIVATE_WEBHOOKS: `127.0.0.1:${receiver.port}`, ...env },
    }),
  );

const risk = (...values: number[]): Partial<DoneRecord> => ({
  outputs: [
    { name: "failure_probability", datatype: "FP32", shape: [values.length, 1], data: Float32Array.from(values) },
  ],
});
const store = async (over: Partial<DoneRecord> = {}) => {
  const record = doneRecord(over);
  await storeOutcome(inference, record);
  return record.id;
};
const until = (check: () => void | Promise<void>, timeout = 10_000) => vi.waitFor(check, { timeout, interval: 20 });

/** Nothing is left to do: every outcome was settled. */
const untilSettled = (name = "alarm") =>
  until(async () => {
    const info = await operator.jsm.consumers.info("OUTCOMES", consumerName.notifier(name));
    expect(info).toMatchObject({ num_pending: 0, num_ack_pending: 0 });
  });

test("an outcome that matches is told once, signed, with the rows that matched; another is not", async () => {
  const earlier = await store(risk(0.99));
  const notifier = await start([rule({ when: whenRisky })]);
  await store(risk(0.1, 0.2));
  const id = await store(risk(0.1, 0.9, 0.85));
  await until(() => expect(events).toHaveLength(1));
  await untilSettled();

  expect(receiver.received).toHaveLength(1);
  const { headers, body } = receiver.received[0]!;
  expect(body, "a rule speaks of what comes after it").not.toContain(earlier);
  const told = new Webhook(SECRET).verify(body, headers) as { data: Record<string, unknown> };
  expect(headers).toMatchObject({ "webhook-id": `${id}.1:alarm`, "x-correlation-id": "corr-1" });
  expect(headers.traceparent).toContain("0af7651916cd43dd8448eb211c80319c");
  expect(told).toMatchObject({ type: "millrace.notification.v1", id: `${id}.1:alarm`, correlationid: "corr-1" });
  expect(told.data).toMatchObject({ request_id: id, rule: "alarm", rows_matched: 2, condition: whenRisky });
  expect(told.data.rows).toMatchObject([{ id: `${id}#1` }, { id: `${id}#2` }]);
  expect(events[0]).toMatchObject({
    type: "millrace.delivery.made.v1",
    data: { effect_id: `${id}.1:alarm`, channel: "webhook", destination: "alarm", status: 204, attempts: 1 },
  });
  expect(await notifier.stop()).toBe(0);
});

test("the rule's tenant, project and model narrow it", async () => {
  await start([rule({ tenant: "acme", project: "plant", model: "valve" })]);
  await store();
  const id = await store({ model: { name: "valve", version: "1", digest: doneRecord().model.digest } });
  await until(() => expect(events).toHaveLength(1));
  await untilSettled();
  expect(receiver.received.map(({ headers }) => headers["webhook-id"])).toEqual([`${id}.1:alarm`]);
});

test("a changed rule is in force at the next start, and what came while it was stopped is not missed", async () => {
  const first = await start([rule({ model: "valve" })]);
  expect(await first.stop()).toBe(0);
  const id = await store();
  await start([rule({ model: "pump" })]);
  await until(() => expect(events).toMatchObject([{ data: { outcome_id: `${id}.1` } }]));
});

test("a 500 is tried again under the same webhook-id until it is taken", async () => {
  receiver.answer = (response, count) => response.writeHead(count === 1 ? 500 : 200).end();
  await start([rule()]);
  await store();
  await until(() => expect(events).toMatchObject([{ type: "millrace.delivery.made.v1", data: { attempts: 2 } }]));
  expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  expect(receiver.received).toHaveLength(2);
});

test.each([
  [
    "410",
    (response: { writeHead(status: number, headers?: object): { end(): void } }) => response.writeHead(410).end(),
  ],
  [
    "a redirect",
    (response: { writeHead(status: number, headers?: object): { end(): void } }) =>
      response.writeHead(302, { location: "/elsewhere" }).end(),
  ],
])("%s is a refusal, recorded and not tried again", async (_name, answer) => {
  receiver.answer = answer;
  await start([rule()]);
  await store();
  await until(() =>
    expect(events).toMatchObject([{ type: "millrace.delivery.failed.v1", data: { code: "delivery-refused" } }]),
  );
  await untilSettled();
  expect(receiver.received.map(({ url }) => url)).toEqual(["/hook"]);
});

test.each(["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "[::1]"])(
  "a webhook at %s goes nowhere unless it is allowed",
  async (host) => {
    await start([rule({}, `http://${host}:${receiver.port}/hook`)], { ALLOW_PRIVATE_WEBHOOKS: "127.0.0.1:1" });
    await store();
    await until(() => expect(events).toMatchObject([{ data: { code: "delivery-refused" } }]));
    expect(String(events[0]!.data.detail)).toContain("public addresses only");
    expect(receiver.received).toHaveLength(0);
  },
);

test("a receiver that hangs stops no other rule, and is tried again", async () => {
  const other = stack.use(await startReceiver());
  let hanging = true;
  receiver.answer = (response) => {
    if (!hanging) response.writeHead(200).end();
  };
  await start([rule(), rule({ name: "other" }, `http://127.0.0.1:${other.port}/`)], {
    ALLOW_PRIVATE_WEBHOOKS: `127.0.0.1:${receiver.port}, 127.0.0.1:${other.port}`,
    WEBHOOK_TIMEOUT_MS: "500",
  });
  for (let i = 0; i < 50; i++) await store();
  await until(() => expect(events.filter(({ data }) => data.destination === "other")).toHaveLength(50));
  await until(() => expect(receiver.received.length).toBeGreaterThanOrEqual(16));
  hanging = false;
  await until(() => expect(events).toHaveLength(100), 20_000);
});

test("an answer without an end counts by its status, and its body is not collected", async () => {
  receiver.answer = (response) => {
    response.writeHead(200);
    const flood = () => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
    };
    response.on("drain", flood);
    flood();
  };
  await start([rule()], { WEBHOOK_TIMEOUT_MS: "1000" });
  await store();
  await until(() => expect(events).toMatchObject([{ type: "millrace.delivery.made.v1", data: { status: 200 } }]));
});

test("while a secret is rotated both keys sign; a receiver that is ahead of us is told again under the new key", async () => {
  const [first, second] = [SECRET, `whsec_${randomBytes(32).toString("base64")}`];
  const file = path.join(dir, "secret");
  await writeFile(file, `${first}\n`);
  await start([rule({ webhook: { url: `http://127.0.0.1:${receiver.port}/hook`, secret: { file } } })]);
  const signers = () => {
    const { headers, body } = receiver.received.at(-1)!;
    return [first, second].map((secret) => {
      try {
        return !!new Webhook(secret).verify(body, headers);
      } catch {
        return false;
      }
    });
  };
  await store();
  await until(() => expect(events).toHaveLength(1), 30_000);
  expect(signers()).toEqual([true, false]);

  // From now on the receiver has the second key alone; ours is rotated in the same moment.
  receiver.answer = (response) => response.writeHead(signers()[1] ? 204 : 401).end();
  await writeFile(file, `${second}\n${first}\n`);
  await store();
  await until(() => expect(events).toHaveLength(2), 30_000);
  expect(signers()).toEqual([true, true]);
  await writeFile(file, `${second}\n`);
  await until(async () => {
    await store();
    expect(signers()).toEqual([false, true]);
  }, 30_000);
  await untilSettled();
  expect(events.map(({ type }) => type)).toEqual(events.map(() => "millrace.delivery.made.v1"));
});

test("while a secret cannot be read at all, nothing is sent and no attempt is lost", async () => {
  const unreachable = "https://localhost:1/secrets/key"; // nobody listens on port 1
  const notifier = await start([
    rule({ webhook: { url: `http://127.0.0.1:${receiver.port}/hook`, secret: { keyVault: unreachable } } }),
  ]);
  await store();
  await until(() => expect(notifier.log()).toMatch(/cannot be read/), 60_000);
  expect(notifier.log()).not.toContain(SECRET);
  const { num_ack_pending } = await operator.jsm.consumers.info("OUTCOMES", consumerName.notifier("alarm"));
  expect({ num_ack_pending, events, received: receiver.received }).toEqual({
    num_ack_pending: 1,
    events: [],
    received: [],
  });
});

test("a kill between the delivery and the ack repeats the same webhook-id", async () => {
  receiver.answer = () => {}; // took it; the notifier will never know
  const first = await start([rule()]);
  const id = await store({ id: freshRequestId() });
  await until(() => expect(receiver.received).toHaveLength(1));
  await first.kill();
  receiver.answer = (response) => response.writeHead(204).end();
  // What the dead process held comes back when the ack wait (30 s) is over; the test does not sit it out.
  const durable = consumerName.notifier("alarm");
  const { config } = await operator.jsm.consumers.info("OUTCOMES", durable);
  await operator.jsm.consumers.update("OUTCOMES", durable, { ...config, ack_wait: 100e6 });

  await start([rule()]);
  await until(() => expect(events).toHaveLength(1), 45_000);
  const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
  expect(ids).toEqual([`${id}.1:alarm`, `${id}.1:alarm`]);
  expect(receiver.received[1]!.body).toBe(receiver.received[0]!.body);
});
