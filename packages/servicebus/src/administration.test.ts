import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { ServiceBusAdministrationClient, ServiceBusClient } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import type { BrokerConfig } from "./index.ts";
import {
  administrationOf,
  configOf,
  eventually,
  noRenewal,
  one,
  openBroker,
  scratchFolder,
} from "./testing/local-broker.ts";

const config = configOf({
  Queues: [{ Name: "work", Properties: { LockDuration: "PT30S" } }],
  Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }],
});

async function open(options: { dataDir?: string; config?: BrokerConfig } = {}) {
  const it = await openBroker(options.config ?? config, options);
  return { ...it, administration: administrationOf(it.broker) };
}

async function all<T>(iterator: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of iterator) found.push(one);
  return found;
}

describe("queues", () => {
  test("one of the configuration is shown with its settings and Azure's defaults", async () => {
    await using it = await open();
    expect(await it.administration.getQueue("WORK")).toMatchObject({
      name: "work",
      lockDuration: "PT30S",
      maxDeliveryCount: 10,
      maxSizeInMegabytes: 1024,
      requiresSession: false,
      requiresDuplicateDetection: false,
      status: "Active",
    });
    expect(await it.administration.queueExists("work")).toBe(true);
    expect(await it.administration.queueExists("none")).toBe(false);
    await expect(it.administration.getQueue("none")).rejects.toMatchObject({ code: "MessageEntityNotFoundError" });
  });

  test("a queue that is created has the settings it was given, and messages", async () => {
    await using it = await open();
    const created = await it.administration.createQueue("made/here", {
      maxDeliveryCount: 2,
      lockDuration: "PT20S",
      deadLetteringOnMessageExpiration: true,
      requiresSession: true,
      forwardDeadLetteredMessagesTo: "work",
      userMetadata: "a & b <c>",
    });
    expect(created).toMatchObject({ name: "made/here", maxDeliveryCount: 2, requiresSession: true });
    const forwardDeadLetteredMessagesTo = `sb://127.0.0.1:${it.broker.port}/work`; // a whole URI, as in Azure
    expect(created).toMatchObject({ userMetadata: "a & b <c>", forwardDeadLetteredMessagesTo });
    await it.client.createSender("made/here").sendMessages({ body: "x", sessionId: "s" });
    const receiver = await it.client.acceptSession("made/here", "s", noRenewal);
    await receiver.deadLetterMessage(await one(receiver));
    expect((await one(it.client.createReceiver("work", noRenewal))).body).toBe("x");
  });

  test("changed settings count from then on; what cannot be changed is refused", async () => {
    await using it = await open();
    const queue = await it.administration.getQueue("work");
    const updated = await it.administration.updateQueue({ ...queue, maxDeliveryCount: 1, lockDuration: "PT1S" });
    expect(updated).toMatchObject({ maxDeliveryCount: 1, lockDuration: "PT1S" });
    await it.client.createSender("work").sendMessages({ body: "x" });
    await one(it.client.createReceiver("work", noRenewal));
    await eventually(() => it.broker.inspect("work").deadLettered === 1);
    await expect(it.administration.updateQueue({ ...queue, requiresSession: true })).rejects.toThrow(
      /cannot be changed/,
    );
    await expect(it.administration.updateQueue({ ...queue, name: "none" })).rejects.toMatchObject({ statusCode: 404 });
  });

  test("runtime properties count what is there", async () => {
    await using it = await open();
    const sender = it.client.createSender("work");
    await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
    await sender.scheduleMessages({ body: 4 }, new Date(Date.now() + 60_000));
    const receiver = it.client.createReceiver("work", noRenewal);
    await receiver.deadLetterMessage(await one(receiver));
    const properties = await it.administration.getQueueRuntimeProperties("work");
    expect(properties).toMatchObject({
      name: "work",
      activeMessageCount: 2,
      deadLetterMessageCount: 1,
      scheduledMessageCount: 1,
      totalMessageCount: 4,
    });
    expect(properties.sizeInBytes).toBeGreaterThan(0);
    expect(properties.createdAt.getTime()).toBeCloseTo(Date.now(), -5);
  });

  test("they are listed, page by page", async () => {
    await using it = await open();
    for (const name of ["a", "b", "c"]) await it.administration.createQueue(name);
    const pages = await all(it.administration.listQueues().byPage({ maxPageSize: 3 }));
    expect(pages.map((page) => page.map(({ name }) => name))).toEqual([["a", "b", "c"], ["work"]]);
    expect(await all(it.administration.listQueuesRuntimeProperties())).toHaveLength(4);
  });

  test("a deleted queue ends its receivers and senders, and one created again is empty", async () => {
    await using it = await open();
    const sender = it.client.createSender("work");
    await sender.sendMessages([{ body: 1 }, { body: 2 }]);
    const receiver = it.client.createReceiver("work", noRenewal);
    const held = await one(receiver);
    await it.administration.deleteQueue("work");
    expect(() => it.broker.inspect("work")).toThrow(/no queue/);
    await expect(sender.sendMessages({ body: 3 })).rejects.toMatchObject({ code: "MessagingEntityNotFound" });
    await expect(receiver.completeMessage(held)).rejects.toThrow();
    await expect(it.administration.deleteQueue("work")).rejects.toMatchObject({ statusCode: 404 });
    await it.administration.createQueue("work");
    await it.client.createSender("work").sendMessages({ body: "new" });
    const message = await one(it.client.createReceiver("work", noRenewal));
    expect(message.body).toBe("new");
    expect(message.sequenceNumber!.toNumber()).toBe(1);
  });

  test("mistakes are refused: a name that is taken, settings that are out of range or not supported", async () => {
    await using it = await open();
    const create = (options: object, name = "q") => it.administration.createQueue(name, options);
    await expect(create({}, "WORK")).rejects.toMatchObject({ code: "MessageEntityAlreadyExistsError" });
    await expect(create({}, "news")).rejects.toMatchObject({ code: "MessageEntityAlreadyExistsError" });
    await expect(create({ lockDuration: "PT1H" })).rejects.toThrow(/at most 5 minutes/);
    await expect(create({ forwardTo: "nowhere" })).rejects.toThrow(/no queue or topic nowhere/);
    await expect(create({ enableExpress: true })).rejects.toThrow(/EnableExpress can only be false/);
    await expect(create({ autoDeleteOnIdle: "PT4M" })).rejects.toThrow(/AutoDeleteOnIdle/);
    await expect(create({ status: "Asleep" })).rejects.toThrow(/Status/);
    expect(await it.administration.queueExists("q")).toBe(false);
  });

  test("one that others forward to cannot be deleted", async () => {
    await using it = await open();
    await it.administration.createQueue("from", { forwardTo: "work" });
    await expect(it.administration.deleteQueue("work")).rejects.toThrow(/no queue or topic work/);
    await it.client.createSender("from").sendMessages({ body: "x" });
    expect(it.broker.inspect("work").active).toBe(1);
  });
});

describe("topics, subscriptions and rules", () => {
  test("a topic made at run time spreads messages by the rules it was given", async () => {
    await using it = await open();
    const { administration } = it;
    await administration.createTopic("orders", { maxSizeInMegabytes: 2048 });
    await administration.createSubscription("ORDERS", "all", { maxDeliveryCount: 3 });
    const first = { name: "first", filter: { sqlExpression: "n = @one", sqlParameters: { "@one": 1 } } };
    await administration.createSubscription("orders", "first", { defaultRuleOptions: first });
    await administration.createRule("orders", "first", "marked", { subject: "x" }, { sqlExpression: "SET marked = 1" });
    await it.client.createSender("orders").sendMessages([
      { body: 1, applicationProperties: { n: 1 } },
      { body: 2, applicationProperties: { n: 2 } },
      { body: 3, subject: "x" },
    ]);
    expect(it.broker.inspect("orders/Subscriptions/all").active).toBe(3);
    expect(it.broker.inspect("orders/Subscriptions/first").active).toBe(2);
    expect(await administration.getSubscription("orders", "all")).toMatchObject({
      topicName: "orders",
      subscriptionName: "all",
      maxDeliveryCount: 3,
    });
    expect(await administration.getTopicRuntimeProperties("orders")).toMatchObject({ subscriptionCount: 2 });
    expect(await administration.getSubscriptionRuntimeProperties("orders", "first")).toMatchObject({
      activeMessageCount: 2,
      totalMessageCount: 2,
    });
    const names = (await all(administration.listSubscriptions("orders"))).map(
      ({ subscriptionName }) => subscriptionName,
    );
    expect(names).toEqual(["all", "first"]);
    expect((await all(administration.listTopics())).map(({ name }) => name)).toEqual(["news", "orders"]);
  });

  test("rules come back as they were created, are changed and deleted", async () => {
    await using it = await open();
    const { administration } = it;
    const filter = {
      correlationId: "c",
      subject: "s & t",
      applicationProperties: { region: "eu", level: 3.5, open: true, day: new Date(86_400_000) },
    };
    await administration.createRule("news", "all", "correlation", filter);
    expect(await administration.getRule("news", "all", "correlation")).toMatchObject({ name: "correlation", filter });
    const rule = await administration.getRule("news", "all", "$Default");
    expect(rule.filter).toMatchObject({ sqlExpression: "1=1" });
    await administration.updateRule("news", "all", { ...rule, filter: { sqlExpression: "x < 2" } });
    expect((await administration.getRule("news", "all", "$Default")).filter).toMatchObject({ sqlExpression: "x < 2" });
    await expect(
      administration.updateRule("news", "all", { ...rule, filter: { sqlExpression: "x <" } }),
    ).rejects.toThrow(/cannot be read/);
    await administration.deleteRule("news", "all", "correlation");
    expect((await all(administration.listRules("news", "all"))).map(({ name }) => name)).toEqual(["$Default"]);
    await expect(administration.getRule("news", "all", "correlation")).rejects.toMatchObject({
      code: "MessageEntityNotFoundError",
    });
    await expect(administration.createRule("news", "all", "$default", { subject: "x" })).rejects.toMatchObject({
      code: "MessageEntityAlreadyExistsError",
    });
  });

  test("with a topic go its subscriptions", async () => {
    await using it = await open();
    await it.client.createSender("news").sendMessages({ body: 1 });
    await it.administration.deleteTopic("news");
    expect(await it.administration.subscriptionExists("news", "all")).toBe(false);
    await expect(it.administration.createSubscription("news", "all")).rejects.toMatchObject({ statusCode: 404 });
    await it.administration.createTopic("news");
    await it.administration.createSubscription("news", "all");
    expect(it.broker.inspect("news/Subscriptions/all")).toMatchObject({ active: 0, enqueued: 0 });
    await it.administration.deleteSubscription("news", "all");
    expect(await all(it.administration.listSubscriptions("news"))).toEqual([]);
  });
});

test("what was made, changed and deleted survives a restart, messages too", async () => {
  await using place = await scratchFolder();
  let certificate = "";
  {
    await using it = await open({ dataDir: place.dir });
    certificate = it.broker.certificate;
    await it.administration.createQueue("made", { maxDeliveryCount: 4, userMetadata: "kept" });
    await it.administration.deleteTopic("news");
    const queue = await it.administration.getQueue("work");
    await it.administration.updateQueue({ ...queue, maxDeliveryCount: 5 });
    await it.client.createSender("made").sendMessages({ body: "kept" });
    await it.administration.createQueue("gone");
    await it.client.createSender("gone").sendMessages({ body: "gone" });
    await it.administration.deleteQueue("gone");
  }
  await using it = await open({ dataDir: place.dir });
  expect(it.broker.certificate).toBe(certificate);
  expect(await it.administration.getQueue("made")).toMatchObject({ maxDeliveryCount: 4, userMetadata: "kept" });
  expect(await it.administration.getQueue("work")).toMatchObject({ maxDeliveryCount: 5, lockDuration: "PT30S" });
  expect(await it.administration.topicExists("news")).toBe(false);
  expect((await one(it.client.createReceiver("made", noRenewal))).body).toBe("kept");
  await it.administration.createQueue("gone");
  expect(it.broker.inspect("gone")).toMatchObject({ active: 0, enqueued: 0 });
});

describe("one port", () => {
  test("AMQP works inside TLS too", async () => {
    await using it = await open();
    const secure = it.broker.connectionString.replace("UseDevelopmentEmulator=true;", "");
    const client = new ServiceBusClient(secure, { retryOptions: { maxRetries: 0, timeoutInMs: 5_000 } });
    await client.createSender("work").sendMessages({ body: Buffer.alloc(100_000, 7) });
    const message = await one(client.createReceiver("work", noRenewal));
    expect(Buffer.compare(message.body, Buffer.alloc(100_000, 7))).toBe(0);
    await client.close();
  });

  test("the administration wants a signature with the key", async () => {
    await using it = await open();
    const wrong = it.broker.connectionString.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=d3Jvbmc=");
    const administration = new ServiceBusAdministrationClient(wrong, { retryOptions: { maxRetries: 0 } });
    await expect(administration.getQueue("work")).rejects.toMatchObject({ code: "UnauthorizedRequestError" });
    const response = await fetch(`http://127.0.0.1:${it.broker.port}/work`);
    expect(response.status).toBe(401);
  });

  test("clients that say nothing, break off or talk nonsense disturb nobody, and the broker closes at once", async () => {
    let silent: Socket;
    {
      await using it = await open();
      const { port } = it.broker;
      silent = connect(port, "127.0.0.1");
      await once(silent, "connect");
      const nonsense = connect(port, "127.0.0.1");
      nonsense.on("error", () => {});
      nonsense.end("nonsense\r\n\r\n");
      const half = connectTls({ port, host: "127.0.0.1", ca: it.broker.certificate });
      await once(half, "secureConnect");
      half.on("error", () => {});
      half.destroy();
      await it.client.createSender("work").sendMessages({ body: "x" });
      expect(it.broker.inspect("work").active).toBe(1);
    }
    if (!silent.closed) await once(silent, "close");
  });
});
