import {
  DURABILITY_KEY,
  encodeRequest,
  freshRequestId,
  ModelDeployment,
  type Outcome,
  PRIORITIES,
  requestSubject,
  type Tensor,
  type UserName,
} from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { headers } from "nats";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Bus, connectBus } from "./bus.ts";
import { consumeInOrder } from "./consume-in-order.ts";
import { openDurability, readSyncAlways, recordDurability } from "./durability.ts";
import { followOutcomes } from "./follow-outcomes.ts";
import { openLanes } from "./lanes.ts";
import { consumeOutcomes, deliveryMade, listenOutcomes, readOutcome, type StoredOutcome } from "./outcomes.ts";
import { provision } from "./provision.ts";
import type { StoredMessage } from "./read.ts";
import { consumeRequests, type RequestVerdict } from "./request-consumer.ts";
import { type NewRequest, publishRequest } from "./requests.ts";
import { consumeStrays } from "./strays.ts";
import { openTable } from "./tables.ts";
import { done, reject, retry } from "./verdict.ts";
import { wait } from "./wait.ts";

type Server = Awaited<ReturnType<typeof natsServer>>;
const log = createLogger("bus-test", process.env.LOG_LEVEL ?? "fatal");
const DIGEST = `sha256:${"ab".repeat(32)}`;

let server: Server;
let operator: Bus;
const open: AsyncDisposable[] = [];

const as = async (user: UserName | "system"): Promise<Bus> => {
  const bus = await connectBus({ url: server.url, user, password: server.passwordOf(user), log });
  open.push(bus);
  return bus;
};

beforeAll(async () => {
  server = await natsServer();
  operator = await as("operator");
  await provision(operator, { replicas: 1 });
});
afterAll(async () => {
  for (const resource of open.reverse()) await resource[Symbol.asyncDispose]();
  await server.close();
});

let model: string;
beforeEach(() => {
  model = `m-${freshRequestId()}`;
});

const tensor: Tensor = { name: "x", datatype: "FP32", shape: [1, 2], data: new Float32Array([1, 2]) };
const request = (over: Partial<NewRequest> = {}): NewRequest => ({
  tenant: "acme",
  project: "plant",
  model,
  id: freshRequestId(),
  priority: "normal",
  body: encodeRequest({ inputs: [tensor], binaryOutput: false }, "json"),
  rows: 1,
  modelVersion: "1",
  modelDigest: DIGEST,
  correlationId: "corr-1",
  principal: "p-1",
  ...over,
});

const answerWith = (value: number): RequestVerdict => ({
  kind: "done",
  binaryOutput: false,
  outcome: {
    model: { name: model, version: "1", digest: DIGEST },
    runtime: { backend: "test", version: "0" },
    timing: { started_at: new Date().toISOString(), compute_ms: 0, batch_rows: 1 },
    outputs: [{ name: "y", datatype: "FP32", shape: [1, 1], data: new Float32Array([value]) }],
  },
});

const until = async <T>(look: () => Promise<T | undefined> | T | undefined, within_ms = 10_000): Promise<T> => {
  const deadline = Date.now() + within_ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`not seen within ${within_ms} ms`);
    await wait(20);
  }
};

/** Lanes, with those of this test's model among them. */
const lanesOf = async (bus: Bus) => {
  const lanes = await openLanes(bus);
  open.push({ [Symbol.asyncDispose]: async () => lanes[Symbol.dispose]() });
  for (const priority of PRIORITIES) await lanes.register({ kind: "tensor", priority, tenant: "acme", model });
  return lanes;
};

const work = async (bus: Bus, handle: (id: string) => RequestVerdict, options = {}) => {
  const consumption = await consumeRequests(
    bus,
    { model, lanes: await lanesOf(bus), batch_max: 64, concurrency: 2, ...options },
    async (requests) => requests.map((delivered) => handle(delivered.id)),
  );
  open.push(consumption);
  return consumption;
};

describe("requests", () => {
  it("stores one request per id: equal bodies are the same job, others conflict, whatever the priority", async () => {
    const ingest = await as("ingest");
    const first = request();
    expect(await publishRequest(ingest, first)).toMatchObject({ kind: "accepted", repeated: false });
    expect(await publishRequest(ingest, first)).toMatchObject({ kind: "accepted", repeated: true });
    expect(await publishRequest(ingest, { ...first, priority: "high" })).toMatchObject({ repeated: true });
    const other = encodeRequest(
      { inputs: [{ ...tensor, data: new Float32Array([3, 4]) }], binaryOutput: false },
      "json",
    );
    expect(await publishRequest(ingest, { ...first, body: other })).toMatchObject({ kind: "conflict" });
  });

  it("of many concurrent publishes of one id, exactly one is stored", async () => {
    const ingest = await as("ingest");
    const same = request();
    const all = await Promise.all(Array.from({ length: 50 }, () => publishRequest(ingest, same)));
    expect(all.every((accepted) => accepted.kind === "accepted")).toBe(true);
    expect(all.filter((accepted) => accepted.kind === "accepted" && !accepted.repeated)).toHaveLength(1);
  });
});

describe("outcomes", () => {
  it("carries a verdict to the stream, to a live listener and to a reader, with where it came from", async () => {
    const ingest = await as("ingest");
    const asked = request();
    const live = Promise.withResolvers<StoredOutcome>();
    using _listening = listenOutcomes(ingest, asked, live.resolve, { once: true });
    const accepted = await publishRequest(ingest, asked);
    await work(await as("inference"), () => answerWith(0.5));
    const outcome = await live.promise;
    expect(outcome.record).toMatchObject({
      id: asked.id,
      state: "done",
      attempt: 1,
      request: {
        digest: accepted.digest,
        principal: "p-1",
        correlation_id: "corr-1",
        rows: 1,
        stream: "REQUESTS_TENSOR",
      },
      outputs: [{ name: "y", data: [0.5] }],
    });
    expect(outcome.envelope).toMatchObject({ id: `${asked.id}.1`, correlationid: "corr-1" });
    const read = await readOutcome(ingest, asked);
    expect(Buffer.compare(read!.body.bytes, outcome.body.bytes)).toBe(0);
    expect(read!.sequence).toBe(outcome.sequence);
  });

  it("gives one outcome when the worker is not acked and the message comes again", async () => {
    const ingest = await as("ingest");
    const asked = request();
    await publishRequest(ingest, asked);
    let calls = 0;
    await work(await as("inference"), () => (++calls === 1 ? { kind: "retry", why: "not now" } : answerWith(calls)));
    const outcome = await until(() => readOutcome(ingest, asked));
    expect(outcome.record).toMatchObject({ state: "done", outputs: [{ data: [2] }] });
    // A second worker pool on the same stream finds the outcome written and writes none.
    const again = { ...asked, id: asked.id };
    expect(await publishRequest(ingest, again)).toMatchObject({ repeated: true });
    const { messages } = (await operator.jsm.streams.info("OUTCOMES", { subjects_filter: `out.*.*.*.${asked.id}.*` }))
      .state;
    expect(messages).toBeGreaterThan(0);
    const subjects = (await operator.jsm.streams.info("OUTCOMES", { subjects_filter: `out.*.*.*.${asked.id}.*` })).state
      .subjects;
    expect(Object.values(subjects ?? {})).toEqual([1]);
  });

  it("dead-letters what is not a request, with the reason and where it stands", async () => {
    const id = freshRequestId();
    const of = { kind: "tensor", priority: "normal", tenant: "acme", project: "plant", model, id } as const;
    await operator.js.publish(requestSubject(of), "garbage");
    await work(await as("inference"), () => answerWith(1));
    const dead = await until(() => readOutcome(operator, { tenant: "acme", project: "plant", model, id }));
    expect(dead.record).toMatchObject({ state: "dead", reason: { code: "malformed-message" }, deliveries: 1 });
    expect((dead.record as Outcome).request.subject).toBe(requestSubject(of));
  });

  it("dead-letters a body that is not the one that was accepted", async () => {
    const ingest = await as("ingest");
    const asked = request();
    await publishRequest(ingest, asked);
    const stored = await operator.jsm.streams.getMessage("REQUESTS_TENSOR", {
      last_by_subj: `req.tensor.*.acme.plant.${model}.${asked.id}`,
    });
    const forged = freshRequestId();
    const copied = headers();
    for (const [name, values] of stored.header) if (!name.startsWith("Nats-")) copied.set(name, values[0]!);
    await operator.js.publish(requestSubject({ ...asked, kind: "tensor", id: forged }), "{}", { headers: copied });
    await work(await as("inference"), () => answerWith(1));
    const dead = await until(() => readOutcome(operator, { ...asked, id: forged }));
    expect(dead.record).toMatchObject({ state: "dead", reason: { code: "digest-mismatch" } });
  });

  it("dead-letters requests for models nobody serves, and subjects that are no request's, and leaves the others alone", async () => {
    const inference = await as("inference");
    const ingest = await as("ingest");
    const stray = request({ model: `nobody-${freshRequestId()}` });
    const served = request();
    const accepted = await publishRequest(ingest, stray);
    await publishRequest(ingest, served);
    await operator.js.publish(`req.tensor.urgent.acme.plant.we$ird.${freshRequestId()}`, "x");
    const isServed = (name: string) => name === model;
    open.push(await consumeStrays(inference, { isServed, lanes: await lanesOf(inference) }));
    const dead = await until(() => readOutcome(ingest, stray));
    expect(dead.record).toMatchObject({ state: "dead", reason: { code: "unknown-model" } });
    expect(dead.record.request.digest).toBe(accepted.digest);
    const odd = await until(async () => {
      const { subjects } = (
        await operator.jsm.streams.info("OUTCOMES", { subjects_filter: "out.acme.plant.we_ird.*.*" })
      ).state;
      return Object.keys(subjects ?? {})[0];
    });
    expect(odd).toMatch(/\.dead$/);
    expect(await readOutcome(ingest, served)).toBeUndefined();
  });

  it("gives back, when it stops, what it has not begun, and loses nothing", async () => {
    const ingest = await as("ingest");
    const asked = Array.from({ length: 200 }, () => request());
    await Promise.all(asked.map((one) => publishRequest(ingest, one)));
    const first = await as("inference");
    let seen = 0;
    const slow = await consumeRequests(
      first,
      { model, lanes: await lanesOf(first), batch_max: 16, concurrency: 1 },
      async (requests) => {
        seen += requests.length;
        await wait(50);
        return requests.map(() => answerWith(1));
      },
    );
    await until(() => (seen >= 32 ? true : undefined));
    await slow[Symbol.asyncDispose]();
    expect(slow.inFlight).toBe(0);
    expect(seen).toBeLessThan(200);
    await work(await as("inference"), () => answerWith(2));
    for (const one of asked) expect((await until(() => readOutcome(ingest, one))).record.state).toBe("done");
  });
});

describe("effects", () => {
  it("records a delivery once as an event, and a refusal with its reason", async () => {
    const ingest = await as("ingest");
    const notifier = await as("notifier");
    const audit = await as("audit");
    const events: Array<{ type?: string; body: Record<string, unknown> }> = [];
    const reader = {
      position: () => undefined,
      take: (messages: readonly StoredMessage[]) => {
        for (const message of messages)
          events.push({ type: message.header("ce-type"), body: JSON.parse(Buffer.from(message.body).toString()) });
      },
    };
    open.push(consumeInOrder(audit, { stream: "EVENTS", durable: "audit-events", batch_max: 10 }, reader));
    const good = request();
    const bad = request();
    await publishRequest(ingest, good);
    await publishRequest(ingest, bad);
    await work(await as("inference"), () => answerWith(1));
    const effect = { channel: "webhook", destination: `rule-${model}`.slice(0, 64) };
    let tries = 0;
    open.push(
      await consumeOutcomes(
        notifier,
        { durable: `notifier-${model}`, filter: { model }, batch_max: 1, concurrency: 1, effect },
        async ([outcome]) => {
          if (outcome!.address.id === bad.id) return [reject("delivery-refused", "410 Gone")];
          if (++tries === 1) return [retry("delivery", "503")];
          return [done(deliveryMade(notifier, outcome!, { ...effect, status: 200 }))];
        },
      ),
    );
    const mine = () => events.filter((event) => event.body.model === model);
    await until(() => (mine().length === 2 ? true : undefined));
    const byId = Object.fromEntries(mine().map((event) => [event.body.outcome_id, event]));
    expect(byId[`${good.id}.1`]).toMatchObject({
      type: "millrace.delivery.made.v1",
      body: { status: 200, attempts: 2 },
    });
    expect(byId[`${bad.id}.1`]).toMatchObject({
      type: "millrace.delivery.failed.v1",
      body: { code: "delivery-refused" },
    });
  });
});

describe("tables and durability", () => {
  it("keeps a bucket current in memory for every reader", async () => {
    const writer = await openTable(await as("inference"), "models", ModelDeployment);
    const reader = await openTable(await as("ingest"), "models", ModelDeployment);
    const deployment: ModelDeployment = {
      digest: DIGEST,
      manifest: {
        name: model,
        version: "1",
        runner: "tensorflow",
        format: "layers",
        description: "",
        inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
        outputs: [{ name: "y", datatype: "FP32", shape: [-1, 1] }],
        batch: { rows_max: 512 },
        timeout_ms: 1000,
      },
    };
    await writer.put(model, deployment);
    expect(await until(() => reader.get(model))).toEqual(deployment);
    writer[Symbol.dispose]();
    reader[Symbol.dispose]();
  });

  it("reads what an acknowledgement means from the server's own settings", async () => {
    const system = await as("system");
    const facts = await readSyncAlways(system);
    expect(facts).toEqual({ syncAlways: true, servers: 1 });
    await recordDurability(operator, { ...facts, replicas: 1, evidence: "test" });
    using durability = await openDurability(await as("ingest"));
    expect(durability.level).toBe("fsync");
    expect(DURABILITY_KEY).toBe("durability");
  });
});

describe("a server restart", () => {
  it("is survived by consumers, followers and publishers, and nothing is lost", async () => {
    const ingest = await as("ingest");
    await work(await as("inference"), () => answerWith(1));
    const followed = new Set<string>();
    const stop = new AbortController();
    // Looked up before anything is published: an outcome stored meanwhile would lie before the place to begin at.
    const after = (await operator.jsm.streams.info("OUTCOMES")).state.last_seq;
    const following = (async () => {
      for await (const outcome of followOutcomes(ingest, { model }, { after, signal: stop.signal }))
        followed.add(outcome.record.id);
    })();
    const before = Array.from({ length: 50 }, () => request());
    await Promise.all(before.map((one) => publishRequest(ingest, one)));
    await server.kill();
    const during = Array.from({ length: 50 }, () => request());
    const publishing = Promise.all(during.map((one) => publishRequest(ingest, one)));
    await wait(300);
    await server.restart();
    const accepted = await publishing;
    expect(accepted.every((one) => one.kind === "accepted")).toBe(true);
    for (const one of [...before, ...during])
      expect((await until(() => readOutcome(ingest, one), 20_000)).record.state).toBe("done");
    await until(() => (followed.size === 100 ? true : undefined), 20_000).catch((cause) => {
      throw new Error(`followed ${followed.size} of 100`, { cause });
    });
    stop.abort();
    await following;
  }, 60_000);
});
