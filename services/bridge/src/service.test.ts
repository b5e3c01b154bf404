import { writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openServiceBus } from "@millrace/azure";
import { startAzurite } from "@millrace/azure/testing";
import { CONSUMER_DEFAULTS, digestOf, type Route } from "@millrace/contracts";
import { doneRecord, eventually, storeOutcome } from "@millrace/testkit";
import { expect, it } from "vitest";
import { storeOutcomes } from "./testing/outcomes.ts";
import { end, type Surroundings, surroundings } from "./testing/surroundings.ts";

/*
 * The real process between a real nats-server and a Service Bus that the real SDK talks to, each of them killed once.
 */
const acked = (it: Surroundings, total: number, within_ms = 40_000) =>
  eventually(
    async () => {
      const { ack_floor, num_pending, num_ack_pending } = await it.consumer();
      expect({ acked: ack_floor.stream_seq, num_pending, num_ack_pending }).toMatchObject({
        num_pending: 0,
        num_ack_pending: 0,
      });
      expect(ack_floor.consumer_seq).toBeGreaterThanOrEqual(total);
    },
    { within_ms, every_ms: 100 },
  );

it("delivers every outcome once, as stored, and says that it is ready", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const { healthUrl } = await around.startBridge();
  const outcomes = await storeOutcomes(around.inference, 1_000);
  await acked(around, 1_000);
  expect((await fetch(`${healthUrl}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${healthUrl}/metrics`)).text()).toMatch(/bridge_messages_total\{.*result="sent".*\} 1000/);
  expect((await around.consumer()).num_redelivered).toBe(0);
  expect(await around.receive(1_000)).toEqual({ messages: outcomes.length, distinct: outcomes.length });
}, 60_000);

it("gives an enterprise the stored bytes, the ids and the CloudEvents attributes", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  await around.startBridge();
  const [stored] = await storeOutcomes(around.inference, 1, { sequence: 42 });
  await using serviceBus = await openServiceBus({ connectionString: around.connectionString });
  const { promise, resolve } = Promise.withResolvers<Parameters<Parameters<typeof serviceBus.subscribe>[1]>[0]>();
  await using _reader = serviceBus.subscribe({ topic: "predictions", subscription: "enterprise" }, resolve);
  const message = await promise;
  expect(message).toMatchObject({
    messageId: `${stored!.id}.1:predictions`,
    correlationId: `corr-${stored!.id}`,
    subject: "inference.completed",
    contentType: "application/json",
    applicationProperties: {
      "cloudEvents:specversion": "1.0",
      "cloudEvents:id": `${stored!.id}.1`,
      "cloudEvents:type": "millrace.inference.completed.v1",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      model: "pump",
      state: "done",
      requestSequence: 42,
    },
  });
  expect(Buffer.compare(message.body, stored!.bytes)).toBe(0);
}, 60_000);

it("killed again and again between sending and acknowledging, it doubles and loses nothing", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const total = 6_000;
  const storing = (async () => {
    for (let at = 0; at < total; at += 500) {
      await storeOutcomes(around.inference, 500);
      await sleep(20);
    }
  })();
  for (let kill = 0; kill < 4; kill++) {
    const { process } = await around.startBridge({ BATCH_MESSAGES_MAX: "50" });
    await sleep(150 + kill * 90); // in the middle of whatever it does
    await end(process, "SIGKILL");
  }
  await storing;
  await around.startBridge();
  await acked(around, total, 60_000);
  expect(await around.receive(total)).toEqual({ messages: total, distinct: total });
}, 120_000);

it("while Service Bus is away it holds on, says why, naks nothing, and goes on by itself", async () => {
  await using around = await surroundings();
  const serviceBus = await around.startServiceBus();
  const { healthUrl } = await around.startBridge();
  await storeOutcomes(around.inference, 200);
  await acked(around, 200);
  await end(serviceBus, "SIGKILL");
  await storeOutcomes(around.inference, 3_000);
  await eventually(
    async () => {
      const readiness = await fetch(`${healthUrl}/readyz`);
      expect(readiness.status).toBe(503);
      expect(await readiness.text()).toMatch(/Service Bus predictions/);
    },
    { within_ms: 30_000 },
  );
  const held = await around.consumer();
  expect(held.num_ack_pending).toBeGreaterThan(0);
  expect(held.num_pending).toBeGreaterThan(0); // it has stopped pulling
  await around.startServiceBus();
  await acked(around, 3_200);
  await eventually(async () => expect((await fetch(`${healthUrl}/readyz`)).status).toBe(200));
  expect((await around.consumer()).num_redelivered).toBe(0);
  expect(await around.receive(3_200)).toEqual({ messages: 3_200, distinct: 3_200 });
}, 120_000);

it("survives a crash of nats-server", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  await around.startBridge({ BATCH_MESSAGES_MAX: "50" });
  await storeOutcomes(around.inference, 2_000);
  await around.nats.kill();
  await around.nats.restart();
  await eventually(() => expect(around.inference.connected).toBe(true));
  await storeOutcomes(around.inference, 1_000);
  await acked(around, 3_000, 60_000);
  expect(await around.receive(3_000)).toEqual({ messages: 3_000, distinct: 3_000 });
}, 120_000);

it("puts a message that can never be taken aside as an event, and sends the rest", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  await around.startBridge({ ROUTES_FILE: await around.routesFile([{ name: "small", topic: "small" }]) });
  await storeOutcomes(around.inference, 5);
  const [large] = await storeOutcomes(around.inference, 1, { values: 2_000 });
  await storeOutcomes(around.inference, 5);
  await eventually(async () => expect((await around.consumer("small")).ack_floor.stream_seq).toBe(11), {
    within_ms: 30_000,
  });
  const event = await around.operator.jsm.streams.getMessage("EVENTS", { last_by_subj: `evt.*.*.delivery.>` });
  expect(event.subject).toContain(large!.id);
  expect(event.json()).toMatchObject({ destination: "small", code: "delivery-refused" });
  expect(await around.receive(10, "small")).toEqual({ messages: 10, distinct: 10 });
}, 60_000);

it("keeps what is too large for a message in a blob, and sends where it is; also when that comes up late", async () => {
  await using azurite = await startAzurite();
  const { port, connectionString } = azurite;
  await azurite[Symbol.asyncDispose]();
  await using around = await surroundings();
  await around.startServiceBus();
  const { healthUrl } = await around.startBridge({
    ROUTES_FILE: await around.routesFile([{ name: "small", topic: "small" }]),
    BLOB_CONNECTION_STRING: connectionString,
  });
  const [large] = await storeOutcomes(around.inference, 1, { values: 2_000 });
  await storeOutcomes(around.inference, 10);
  await eventually(
    async () => {
      const readiness = await fetch(`${healthUrl}/readyz`);
      expect(await readiness.text()).toMatch(/the claim check cannot be stored: blob outcomes\/acme\/plant\//);
    },
    { within_ms: 60_000 },
  );
  await using _later = await startAzurite(port);
  const seen: { messageId?: unknown; body: Buffer; contentType?: string; applicationProperties?: object }[] = [];
  await using serviceBus = await openServiceBus({ connectionString: around.connectionString });
  await using _reader = serviceBus.subscribe(
    { topic: "small", subscription: "enterprise" },
    (it) => void seen.push(it),
  );
  await eventually(() => expect(seen).toHaveLength(11), { within_ms: 60_000 });
  const claim = seen.find(({ messageId }) => messageId === `${large!.id}.1:small`)!;
  const dataref = `http://127.0.0.1:${port}/test/outcomes/acme/plant/${large!.id}.1`;
  expect(claim.applicationProperties).toMatchObject({ "cloudEvents:dataref": dataref, state: "done" });
  expect([claim.contentType, JSON.parse(claim.body.toString())]).toEqual([
    "application/json",
    {
      dataref,
      digest: digestOf(large!.bytes),
      size_bytes: large!.bytes.byteLength,
      content_type: "application/json",
    },
  ]);
  await eventually(async () => expect((await fetch(`${healthUrl}/readyz`)).status).toBe(200));
}, 180_000);

it("stopped under load, it ends with nothing half done", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const first = await around.startBridge({ BATCH_MESSAGES_MAX: "50" });
  await storeOutcomes(around.inference, 4_000);
  expect(await end(first.process, "SIGTERM")).toBe(0);
  await around.startBridge();
  await acked(around, 4_000, CONSUMER_DEFAULTS.ack_wait_ms - 1_000); // given back, not timed out
  expect(await around.receive(4_000)).toEqual({ messages: 4_000, distinct: 4_000 });
}, 60_000);

it("sends each route what it asks for", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  await around.startBridge({
    ROUTES_FILE: await around.routesFile([
      { name: "predictions", topic: "predictions", model: "pump" },
      { name: "fans", topic: "small", model: "fan", state: "done" },
    ]),
  });
  await storeOutcomes(around.inference, 20, { model: "pump" });
  await storeOutcomes(around.inference, 30, { model: "fan" });
  await acked(around, 20);
  await eventually(async () => expect((await around.consumer("fans")).ack_floor.consumer_seq).toBe(30));
  expect(await around.receive(30, "small")).toEqual({ messages: 30, distinct: 30 });
  expect(await around.receive(20)).toEqual({ messages: 20, distinct: 20 });
}, 60_000);

it("sends the rows that meet a condition, each in its session, with values that a rule can compare", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const route: Route = {
    name: "alerts",
    topic: "predictions",
    when: { output: "risk", op: ">=", value: 0.75 },
    message: {
      per: "row",
      session_id: "{parameters.sensor}",
      subject: "{model} {row}",
      properties: { risk: "{outputs.risk}", urgent: "{parameters.urgent}", shift: "{parameters.shift}" },
      ttl_s: 3_600,
    },
  };
  await around.startBridge({ ROUTES_FILE: await around.routesFile([route]) });
  const rows = [0.5, 0.75, 0.25, 1];
  const request = { ...doneRecord().request, parameters: { sensor: "s-7", urgent: true, shift: 2 } };
  const risk = { name: "risk", datatype: "FP32", shape: [4, 1], data: Float32Array.from(rows) } as const;
  const record = doneRecord({ outputs: [risk], request });
  const bytes = await storeOutcome(around.inference, record);
  await storeOutcomes(around.inference, 3); // 0.5: not met, and acknowledged
  await eventually(async () => expect((await around.consumer("alerts")).ack_floor.consumer_seq).toBe(4));
  await using serviceBus = await openServiceBus({ connectionString: around.connectionString });
  const seen: Parameters<Parameters<typeof serviceBus.subscribe>[1]>[0][] = [];
  await using _reader = serviceBus.subscribe(
    { topic: "predictions", subscription: "enterprise" },
    (it) => void seen.push(it),
  );
  await eventually(() => expect(seen).toHaveLength(2));
  const row = (index: number) => ({
    messageId: `${record.id}.1:alerts#${index}`,
    sessionId: "s-7",
    subject: `pump ${index}`,
    timeToLive: 3_600_000,
    applicationProperties: { risk: rows[index], urgent: true, shift: 2, row: index },
  });
  expect(seen).toMatchObject([row(1), row(3)]);
  expect(JSON.parse(String(seen[0]!.body))).toMatchObject({
    row: 1,
    outcome: { id: `${record.id}.1`, digest: digestOf(bytes) },
    outputs: [{ name: "risk", shape: [1, 1], data: [0.75] }],
  });
}, 60_000);

it("takes routes from the bucket as they come, change and go, and leaves the others alone", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const { healthUrl } = await around.startBridge();
  const bucket = await around.operator.js.views.kv("routes", { bindOnly: true });
  const put = (route: Route) => bucket.put(route.name, JSON.stringify(route));
  const checks = async () => Object.keys(((await (await fetch(`${healthUrl}/readyz`)).json()) as Ready).checks);

  await storeOutcomes(around.inference, 10, { model: "fan" });
  await acked(around, 10);
  await put({ name: "fans", topic: "small", model: "fan" });
  await put({ name: "late", topic: "small", model: "fan", begin: "new" });
  await eventually(async () => expect((await around.consumer("late")).num_waiting).toBe(1));
  await eventually(async () => expect((await around.consumer("fans")).ack_floor.consumer_seq).toBe(10));
  expect(await around.receive(10, "small")).toEqual({ messages: 10, distinct: 10 });

  await put({ name: "fans", topic: "small", model: "pump" });
  const filter = "out.*.*.pump.*.*";
  await eventually(async () => expect((await around.consumer("fans")).config.filter_subject).toBe(filter));
  await bucket.delete("late");
  await eventually(async () => await expect(around.consumer("late")).rejects.toThrow("consumer not found"));
  await storeOutcomes(around.inference, 5, { model: "fan" });
  await storeOutcomes(around.inference, 7, { model: "pump" });
  await acked(around, 22);
  expect(await around.receive(7, "small")).toEqual({ messages: 7, distinct: 7 });
  expect(await checks()).toEqual(expect.arrayContaining(["route predictions", "route fans"]));
  expect(await checks()).not.toContain("route late");
  expect(await around.receive(22)).toEqual({ messages: 22, distinct: 22 });
}, 60_000);

it("a route that is changed under load loses and doubles nothing, and one that is deleted while away ends", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const { process } = await around.startBridge({ BATCH_MESSAGES_MAX: "20" });
  const bucket = await around.operator.js.views.kv("routes", { bindOnly: true });
  const total = 3_000;
  const storing = (async () => {
    for (let at = 0; at < total; at += 250) await storeOutcomes(around.inference, 250);
  })();
  for (let change = 0; change < 6; change++) {
    const route: Route = { name: "predictions", topic: "predictions", message: { ttl_s: 1_000 + change } };
    await bucket.put("predictions", JSON.stringify(route));
    await sleep(100); // in the middle of whatever it does
  }
  await bucket.delete("predictions"); // the file's is in force again
  await storing;
  await acked(around, total);
  expect(await around.receive(total)).toEqual({ messages: total, distinct: total });

  await bucket.put("more", JSON.stringify({ name: "more", topic: "small" } satisfies Route));
  await eventually(async () => expect((await around.consumer("more")).num_waiting).toBe(1));
  await end(process, "SIGTERM");
  await bucket.delete("more");
  await around.startBridge();
  await eventually(async () => await expect(around.consumer("more")).rejects.toThrow("consumer not found"));
}, 120_000);

type Ready = { checks: Record<string, unknown> };

it("the key of the namespace is changed under load: with the new one in its file the bridge goes on, and loses nothing", async () => {
  await using around = await surroundings();
  const { tls } = around;
  const file = path.join(around.dir, "connection-string");
  await writeFile(file, tls.connectionString(around.key));
  const first = await around.startServiceBus();
  const { healthUrl, log } = await around.startBridge({
    SERVICEBUS_CONNECTION_STRING: "",
    SERVICEBUS_CONNECTION_STRING_FILE: file,
    NODE_EXTRA_CA_CERTS: tls.certificateFile,
    BATCH_MESSAGES_MAX: "20",
  });
  const total = 3_000;
  const storing = (async () => {
    for (let at = 0; at < total; at += 100) {
      await storeOutcomes(around.inference, 100);
      await sleep(30);
    }
  })();
  await eventually(async () => expect((await around.consumer()).ack_floor.consumer_seq).toBeGreaterThan(200));
  await end(first, "SIGKILL"); // whoever rotates a key ends what was signed with the old one
  await around.startServiceBus({ SHARED_ACCESS_KEY: "another key for tests" });
  await eventually(async () => expect(await (await fetch(`${healthUrl}/readyz`)).text()).toMatch(/nauthorized/), {
    within_ms: 40_000,
  });
  await writeFile(file, tls.connectionString("another key for tests"));
  await storing;
  await acked(around, total, 60_000);
  expect(await around.receive(total, "predictions", "another key for tests")).toEqual({
    messages: total,
    distinct: total,
  });
  expect(log()).not.toMatch(/key for tests|sig=/);
}, 180_000);
