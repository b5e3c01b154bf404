import tls from "node:tls";
import { ServiceBusAdministrationClient } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { start } from "./index.ts";
import { configOf, noRenewal, nothing, one, openBroker, scratchFolder } from "./testing/local-broker.ts";

const config = configOf({
  Queues: [{ Name: "work", Properties: { RequiresDuplicateDetection: true } }],
  Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }],
});
const token = "a-token-for-tests-only";

async function open(dataDir?: string) {
  const it = await openBroker(config, { dataDir, controlToken: token });
  const ask = async (request: string, body?: unknown, bearer = token) => {
    const [method, path] = request.split(" ");
    const response = await fetch(`http://127.0.0.1:${it.broker.port}/$emulator/${path}`, {
      method,
      headers: { authorization: `Bearer ${bearer}` },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const type = response.headers.get("content-type");
    return { status: response.status, type, body: text ? JSON.parse(text) : undefined };
  };
  return { ...it, ask };
}

describe("who may ask", () => {
  test("only who has the token", async () => {
    await using it = await open();
    const refused = await it.ask("GET entities", undefined, "another");
    expect(refused).toMatchObject({ status: 401, type: "application/problem+json", body: { title: "Unauthorized" } });
    expect((await it.ask("GET entities")).status).toBe(200);
  });

  test("nobody, unless there is a token", async () => {
    await using it = await openBroker(config);
    const answer = await fetch(`http://127.0.0.1:${it.broker.port}/$emulator/entities`);
    expect(answer.status).toBe(401);
    expect(await answer.text()).toContain("shared access signature");
  });

  test("a token that could be guessed is refused at the start", async () => {
    await expect(start({ port: 0, host: "127.0.0.1", config, controlToken: "secret" })).rejects.toThrow(/too short/);
  });
});

describe("entities", () => {
  test("all are listed with what they hold, and each can be looked at", async () => {
    await using it = await open();
    await it.client.createSender("news").sendMessages({ body: 1 });
    await it.client.createSender("news").scheduleMessages({ body: 2 }, new Date(Date.now() + 60_000));
    const receiver = it.client.createReceiver("news", "all", noRenewal);
    await receiver.deadLetterMessage(await one(receiver));
    const { body } = await it.ask("GET entities");
    expect(body.entities).toMatchObject([
      { path: "work", kind: "queue", counts: { active: 0, enqueued: 0 } },
      { path: "news", kind: "topic", counts: { scheduled: 1 } },
      { path: "news/Subscriptions/all", kind: "subscription", counts: { active: 0, deadLettered: 1 } },
    ]);
    expect(body.entities).toEqual(it.broker.entities());
    expect((await it.ask("GET entities/NEWS/subscriptions/all")).body).toEqual(body.entities[2]);
    expect((await it.ask("GET entities/news/subscriptions/all/$deadletterqueue")).body).toMatchObject({
      kind: "dead-letter-queue",
      counts: { active: 1 },
    });
    expect(await it.ask("GET entities/none")).toMatchObject({
      status: 404,
      body: { detail: "There is no entity none." },
    });
  });
});

describe("reset", () => {
  test("everything is as configured, for clients that go on, and after a restart", async () => {
    await using folder = await scratchFolder();
    {
      await using it = await open(folder.dir);
      tls.setDefaultCACertificates([it.broker.certificate]);
      const administration = new ServiceBusAdministrationClient(it.broker.connectionString);
      await administration.createQueue("made");
      await administration.createRule("news", "all", "more", { kind: "sql", sqlExpression: "1=1" } as never);
      await administration.deleteRule("news", "all", "$Default");
      const sender = it.client.createSender("work");
      const receiver = it.client.createReceiver("work", noRenewal);
      await sender.sendMessages([
        { body: 1, messageId: "1" },
        { body: 2, messageId: "2" },
      ]);
      await one(receiver);
      it.broker.faults.set("f", { kind: "lose-lock" });

      expect((await it.ask("POST reset")).status).toBe(204);

      expect(it.broker.faults.list()).toEqual([]);
      expect(it.broker.entities().map(({ path }) => path)).toEqual(["work", "news", "news/Subscriptions/all"]);
      expect(it.broker.inspect("work")).toMatchObject({ active: 0, locked: 0, enqueued: 0, bytes: 0 });
      expect(await nothing(receiver)).toBe(true);
      await sender.sendMessages({ body: "again", messageId: "1" });
      const message = await one(receiver);
      expect(message).toMatchObject({ body: "again", deliveryCount: 0 });
      expect(message.sequenceNumber?.toNumber()).toBe(1);
      await it.client.createSender("news").sendMessages({ body: 1 });
      expect(it.broker.inspect("news/Subscriptions/all").active).toBe(1);
    }
    await using restarted = await open(folder.dir);
    expect(restarted.broker.entities().map(({ path }) => path)).toEqual(["work", "news", "news/Subscriptions/all"]);
    expect(restarted.broker.inspect("work")).toMatchObject({ active: 1, enqueued: 1 });
    expect(restarted.broker.inspect("news/Subscriptions/all").active).toBe(1);
  });
});

describe("faults", () => {
  test("they are set, shown and cleared", async () => {
    await using it = await open();
    const fault = { kind: "server-busy", entity: "work", operations: ["send"], times: 1 };
    expect(await it.ask("PUT faults/busy", fault)).toMatchObject({
      status: 200,
      body: { name: "busy", fault, active: true, struck: 0 },
    });
    await expect(it.client.createSender("work").sendMessages({ body: 1 })).rejects.toMatchObject({
      code: "ServiceBusy",
    });
    expect((await it.ask("GET faults/busy")).body).toMatchObject({ active: false, struck: 1 });
    expect((await it.ask("GET faults")).body.faults).toEqual(it.broker.faults.list());
    expect((await it.ask("DELETE faults/busy")).status).toBe(204);
    expect((await it.ask("DELETE faults/busy")).status).toBe(404);
    await it.ask("PUT faults/busy", fault);
    expect((await it.ask("DELETE faults")).status).toBe(204);
    expect((await it.ask("GET faults")).body).toEqual({ faults: [] });
  });

  test.each<[string, unknown, number, string]>([
    ["PUT faults/f", { kind: "delay" }, 400, "ms"],
    ["PUT faults/f", "{", 400, "not JSON"],
    ["PUT faults/f", "x".repeat(70_000), 413, "65536 bytes"],
    ["PUT faults/a%2Fb", { kind: "refuse" }, 400, "name"],
    ["PATCH faults/f", {}, 404, "PATCH faults"],
    ["GET %", undefined, 404, "README"],
  ])("%s %j is a problem", async (request, body, status, detail) => {
    await using it = await open();
    const answer = await it.ask(request, body);
    expect(answer).toMatchObject({ status, type: "application/problem+json", body: { status } });
    expect(answer.body.detail).toContain(detail);
    expect(it.broker.faults.list()).toEqual([]);
  });

  test("a partition does not lock out whoever made it", async () => {
    await using it = await open();
    await it.ask("PUT faults/f", { kind: "partition" });
    expect((await it.ask("DELETE faults/f")).status).toBe(204);
    await it.client.createSender("work").sendMessages({ body: 1 });
  });
});
