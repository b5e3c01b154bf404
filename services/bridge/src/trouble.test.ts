import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "@millrace/testkit";
import { expect, it } from "vitest";
import { storeOutcomes } from "./testing/outcomes.ts";
import { end, surroundings } from "./testing/surroundings.ts";
import { type Books, TROUBLED_ROUTE, underTrouble } from "./testing/trouble.ts";

/*
 * The real bridge, a real nats-server and a Service Bus that misbehaves on demand. Nothing is lost or altered, no session
 * is out of order, and duplicate detection lets nothing through twice. `pnpm trouble` is the long form.
 */
const LOAD = { seconds: 6, perSecond: 300, sessions: 7 };
const clean = (stored: number): Books => ({ stored, lost: 0, altered: 0, repeated: 0, overtaken: 0 });

it.each([
  ["its connections drop every second", { kind: "drop-connection", everyMs: 1_000, durationMs: 6_000 }],
  ["its links drop all the time", { kind: "drop-link", everyMs: 200, durationMs: 6_000 }],
  ["it is busy", { kind: "server-busy", operations: ["send"], durationMs: 5_000 }],
  ["it is busy now and then", { kind: "server-busy", operations: ["send"], probability: 0.3, durationMs: 6_000 }],
  ["it is slow", { kind: "delay", ms: 400, durationMs: 6_000 }],
  ["it cannot be reached, and the backlog grows", { kind: "refuse", durationMs: 6_000 }],
])(
  "while %s",
  async (_, fault) => {
    await using around = await surroundings();
    await around.startServiceBus();
    await around.startBridge({ ROUTES_FILE: await around.routesFile([TROUBLED_ROUTE]) });
    const books = await underTrouble(around, LOAD, () => around.fault("trouble", fault));
    expect(await around.struck("trouble")).toBeGreaterThan(0);
    expect(books).toEqual(clean(books.stored));
    expect(books.stored).toBeGreaterThan(100);
  },
  240_000,
);

it("while confirmations are lost: what was stored is sent again, and taken once", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  await around.startBridge({ ROUTES_FILE: await around.routesFile([TROUBLED_ROUTE]) });
  const lost = { kind: "lose-send-confirmation", times: 2 };
  const books = await underTrouble(around, { ...LOAD, seconds: 3 }, () => around.fault("trouble", lost));
  expect(await around.struck("trouble")).toBe(2);
  expect(books).toEqual(clean(books.stored));
}, 240_000);

it("killed again and again, the bridge begins where all was sent: no session is out of order", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const settings = { ROUTES_FILE: await around.routesFile([TROUBLED_ROUTE]), BATCH_MESSAGES_MAX: "20" };
  const books = await underTrouble(around, { ...LOAD, seconds: 8 }, async () => {
    for (let kill = 0; kill < 4; kill++) {
      const { process } = await around.startBridge(settings);
      await sleep(600 + kill * 150); // in the middle of whatever it does
      await end(process, "SIGKILL");
    }
    await around.startBridge(settings);
  });
  expect(books).toEqual(clean(books.stored));
  expect(books.stored).toBeGreaterThan(100);
}, 240_000);

it("after a crash of nats-server, too", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  await around.startBridge({ ROUTES_FILE: await around.routesFile([TROUBLED_ROUTE]), BATCH_MESSAGES_MAX: "20" });
  await around.fault("slow", { kind: "delay", ms: 50, durationMs: 10_000 });
  const storing = { ...LOAD, seconds: 2 };
  const books = await underTrouble(around, storing, async () => {
    await sleep(2_500); // stored, and not all sent
    await around.nats.kill();
    await around.nats.restart();
    await eventually(() => expect(around.operator.connected).toBe(true), { within_ms: 30_000 });
  });
  expect(books).toEqual(clean(books.stored));
}, 240_000);

it("an entity that is deleted blocks its route, says so, and gets everything once it is there again", async () => {
  await using around = await surroundings();
  await around.startServiceBus();
  const { healthUrl } = await around.startBridge({
    ROUTES_FILE: await around.routesFile([TROUBLED_ROUTE, { name: "other", topic: "small" }]),
  });
  await storeOutcomes(around.inference, 50);
  expect(await around.receive(50)).toEqual({ messages: 50, distinct: 50 });
  await around.administer("DELETE", "predictions");
  await storeOutcomes(around.inference, 500);
  await eventually(
    async () => {
      expect(await (await fetch(`${healthUrl}/readyz`)).text()).toContain("there is no such topic or queue: make it");
      const metrics = await (await fetch(`${healthUrl}/metrics`)).text();
      expect(metrics).toMatch(/millrace_bridge_route_blocked\{.*route="predictions",reason="missing".*\} 1/);
      expect(metrics).toMatch(/millrace_bridge_breaker_open\{.*route="predictions".*\} 1/);
      expect(metrics).toMatch(/millrace_bridge_breaker_open\{.*route="other".*\} 0/);
    },
    { within_ms: 60_000 },
  );
  expect(await around.receive(550, "small")).toEqual({ messages: 550, distinct: 550 }); // the other route goes on
  expect((await around.consumer()).ack_floor.consumer_seq).toBe(50);
  const schema = 'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"';
  const topic = (status: string) =>
    `<TopicDescription ${schema}><RequiresDuplicateDetection>true</RequiresDuplicateDetection><Status>${status}</Status></TopicDescription>`;
  await around.administer("PUT", "predictions", { description: topic("SendDisabled") }); // a topic without a subscription loses what it takes
  await around.administer("PUT", "predictions/Subscriptions/enterprise", {
    description: `<SubscriptionDescription ${schema}/>`,
  });
  await eventually(
    async () => expect(await (await fetch(`${healthUrl}/readyz`)).text()).toContain("the topic or queue is disabled"),
    { within_ms: 60_000 },
  );
  await around.administer("PUT", "predictions", { description: topic("Active"), change: true });
  expect(await around.receive(500)).toEqual({ messages: 500, distinct: 500 });
  await eventually(async () => expect((await fetch(`${healthUrl}/readyz`)).status).toBe(200));
}, 240_000);
