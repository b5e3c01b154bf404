import { ServiceBusClient } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { administrationOf, configOf, eventually, noRenewal, nothing, one, openBroker } from "./testing/local-broker.ts";

const config = configOf({
  Queues: [{ Name: "work" }, { Name: "sessions", Properties: { RequiresSession: true } }],
  Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }],
});

async function open() {
  const it = await openBroker(config);
  return { ...it, administration: administrationOf(it.broker) };
}

describe("a disabled entity", () => {
  test("a queue that may not be sent to refuses, and is still read; enabled again, it takes messages", async () => {
    await using it = await open();
    const sender = it.client.createSender("work");
    await sender.sendMessages({ body: 1 });
    const queue = await it.administration.getQueue("work");
    await it.administration.updateQueue({ ...queue, status: "SendDisabled" });
    const refusal = { code: "MessagingEntityDisabled" };
    await expect(sender.sendMessages({ body: 2 })).rejects.toMatchObject(refusal);
    await expect(it.client.createSender("work").sendMessages({ body: 2 })).rejects.toMatchObject(refusal);
    const receiver = it.client.createReceiver("work", noRenewal);
    await receiver.completeMessage(await one(receiver));
    await it.administration.updateQueue({ ...queue, status: "Active" });
    await sender.sendMessages({ body: 3 });
    expect((await one(receiver)).body).toBe(3);
  });

  test("a queue that may not be read takes messages, loses its receivers and admits none", async () => {
    await using it = await open();
    const receiver = it.client.createReceiver("work", noRenewal);
    const failures: unknown[] = [];
    receiver.subscribe({
      processMessage: () => Promise.resolve(),
      processError: async ({ error }) => void failures.push(error),
    });
    const queue = await it.administration.getQueue("work");
    await it.administration.updateQueue({ ...queue, status: "ReceiveDisabled" });
    await it.client.createSender("work").sendMessages({ body: 1 });
    await eventually(() => failures.length > 0);
    expect(failures[0]).toMatchObject({ code: "MessagingEntityDisabled" });
    await receiver.close();
    const another = it.client.createReceiver("work", noRenewal);
    await expect(another.receiveMessages(1)).rejects.toMatchObject({ code: "MessagingEntityDisabled" });
    expect(it.broker.inspect("work").active).toBe(1);
  });

  test("who waits for a session is told when the queue is disabled", async () => {
    await using it = await open();
    const waiting = it.client.acceptNextSession("sessions", noRenewal);
    const queue = await it.administration.getQueue("sessions");
    await new Promise((resolve) => setTimeout(resolve, 100)); // until it waits: nothing outside shows that it does
    await it.administration.updateQueue({ ...queue, status: "Disabled" });
    await expect(waiting).rejects.toMatchObject({ code: "MessagingEntityDisabled" });
  });

  test("a topic and a subscription can be disabled on their own", async () => {
    await using it = await open();
    const subscription = await it.administration.getSubscription("news", "all");
    await it.administration.updateSubscription({ ...subscription, status: "ReceiveDisabled" });
    const sender = it.client.createSender("news");
    await sender.sendMessages({ body: 1 });
    const receive = () =>
      it.client.createReceiver("news", "all", noRenewal).receiveMessages(1, { maxWaitTimeInMs: 500 });
    await expect(receive()).rejects.toMatchObject({ code: "MessagingEntityDisabled" });
    await it.administration.updateTopic({ ...(await it.administration.getTopic("news")), status: "Disabled" });
    await expect(sender.sendMessages({ body: 2 })).rejects.toMatchObject({ code: "MessagingEntityDisabled" });
    await it.administration.updateSubscription({ ...subscription, status: "Active" });
    expect(await receive()).toHaveLength(1);
  });
});

describe("authorization rules", () => {
  test("they are told back as they were given, with keys made for those that had none", async () => {
    await using it = await open();
    const authorizationRules = [
      {
        claimType: "SharedAccessKey",
        keyName: "sender",
        accessRights: ["Send" as const],
        primaryKey: "a",
        secondaryKey: "b",
      },
      { claimType: "SharedAccessKey", keyName: "reader", accessRights: ["Listen" as const] },
    ];
    await it.administration.createTopic("t", { authorizationRules: authorizationRules as never });
    const { authorizationRules: found } = await it.administration.getTopic("t");
    expect(found?.[0]).toMatchObject({ keyName: "sender", accessRights: ["Send"], primaryKey: "a", secondaryKey: "b" });
    expect(found?.[1]?.primaryKey).toMatch(/^.{44}$/);
  });

  test("a queue's own key is good for what it says, on that queue, with either of its keys, until it is taken away", async () => {
    await using it = await open();
    const rule = { claimType: "SharedAccessKey", keyName: "sender", accessRights: ["Send"] };
    const authorizationRules = [{ ...rule, primaryKey: "first", secondaryKey: "second" }];
    const queue = await it.administration.createQueue("own", { authorizationRules: authorizationRules as never });
    const send = async (key: string, name = "own") => {
      const connectionString = `Endpoint=sb://127.0.0.1:${it.broker.port};SharedAccessKeyName=sender;SharedAccessKey=${key};UseDevelopmentEmulator=true`;
      const client = new ServiceBusClient(connectionString, { retryOptions: { maxRetries: 0 } });
      try {
        await client.createSender(name).sendMessages({ body: "x" });
        await client.createReceiver(name, noRenewal).receiveMessages(1);
      } finally {
        await client.close();
      }
    };
    const maySendOnly = { code: "UnauthorizedAccess", message: expect.stringMatching(/'Listen' claim/) };
    await expect(send("first")).rejects.toMatchObject(maySendOnly);
    await expect(send("second")).rejects.toMatchObject(maySendOnly);
    expect(it.broker.inspect("own").active).toBe(2);
    await expect(send("third")).rejects.toMatchObject({ code: "UnauthorizedAccess" });
    await expect(send("first", "work")).rejects.toMatchObject({ message: expect.stringMatching(/'Send' claim/) });
    await it.administration.updateQueue({ ...queue, authorizationRules: [] });
    await expect(send("first")).rejects.toMatchObject({ message: expect.stringMatching(/key name is unknown/) });
  });

  test("a key of the configuration counts everywhere, and one without Manage administers nothing", async () => {
    const rule = { KeyName: "worker", Rights: ["Send" as const, "Listen" as const], PrimaryKey: "k" };
    await using it = await openBroker(configOf({ AuthorizationRules: [rule], Queues: [{ Name: "work" }] }));
    const connectionString = `Endpoint=sb://127.0.0.1:${it.broker.port};SharedAccessKeyName=worker;SharedAccessKey=k;UseDevelopmentEmulator=true`;
    const administration = administrationOf({ ...it.broker, connectionString });
    await expect(administration.getQueue("work")).rejects.toThrow(/Manage,EntityRead claims required/);
    await expect(administration.createQueue("more")).rejects.toThrow(/Manage,EntityWrite/);
    await expect(administration.deleteQueue("work")).rejects.toThrow(/Manage,EntityDelete/);
    expect(await administration.queueExists("none")).toBe(false);
    const client = new ServiceBusClient(connectionString);
    await client.createSender("work").sendMessages({ body: "x" });
    expect((await one(client.createReceiver("work", noRenewal))).body).toBe("x");
    await client.close();
  });

  test("managing without sending and listening is no right that can be given", async () => {
    await using it = await open();
    const authorizationRules = [{ claimType: "SharedAccessKey", keyName: "k", accessRights: ["Manage" as const] }];
    const made = it.administration.createQueue("q", { authorizationRules: authorizationRules as never });
    await expect(made).rejects.toThrow(/together with Send and Listen/);
  });
});

describe("a partitioned queue", () => {
  test("is as large as its sixteen parts, stays as it is, and gives ids to messages that have none", async () => {
    await using it = await open();
    const made = await it.administration.createQueue("parts", { enablePartitioning: true, maxSizeInMegabytes: 2048 });
    expect(made).toMatchObject({ enablePartitioning: true, maxSizeInMegabytes: 16 * 2048 });
    expect(await it.administration.updateQueue(made)).toMatchObject({ maxSizeInMegabytes: 16 * 2048 });
    const back = it.administration.updateQueue({ ...made, enablePartitioning: false });
    await expect(back).rejects.toThrow(/Partitioning cannot be changed/);
    await it.client
      .createSender("parts")
      .sendMessages({ body: "x", partitionKey: "p", applicationProperties: { n: 1 } });
    const message = await one(it.client.createReceiver("parts", noRenewal));
    expect(message.messageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(message).toMatchObject({ body: "x", partitionKey: "p", applicationProperties: { n: 1 } });
  });
});

test("a message whose sender has no use for an id has none in a queue that is not partitioned", async () => {
  await using it = await open();
  await it.client.createSender("work").sendMessages({ body: "x" });
  expect((await one(it.client.createReceiver("work", noRenewal))).messageId).toBeUndefined();
});

test("runtime properties tell when an entity was last used, and what rules a topic's subscriptions have", async () => {
  await using it = await open();
  const before = await it.administration.getQueueRuntimeProperties("work");
  expect(before.accessedAt.getUTCFullYear()).toBe(1); // .NET's first moment: never
  await nothing(it.client.createReceiver("work", noRenewal));
  const after = await it.administration.getQueueRuntimeProperties("work");
  expect(Math.abs(after.accessedAt.getTime() - Date.now())).toBeLessThan(60_000);
});
