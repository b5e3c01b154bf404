import { ServiceBusClient, type ServiceBusReceivedMessage, type ServiceBusReceiver } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import type { BrokerConfig } from "./index.ts";
import { eventually, noRenewal, openBroker } from "./testing/local-broker.ts";

/*
 * The unmodified Azure SDK over a real socket is the specification here.
 */
const config: BrokerConfig = {
  UserConfig: {
    Namespaces: [
      {
        Name: "local",
        Queues: [
          { Name: "work", Properties: { LockDuration: "PT5S", MaxDeliveryCount: 3 } },
          { Name: "short-lock", Properties: { LockDuration: "PT1S", MaxDeliveryCount: 2 } },
          { Name: "unique", Properties: { RequiresDuplicateDetection: true } },
          { Name: "brief", Properties: { DeadLetteringOnMessageExpiration: true } },
          { Name: "small", Properties: { MaxSizeInMegabytes: 1 } },
        ],
        Topics: [
          {
            Name: "news",
            Properties: { RequiresDuplicateDetection: true },
            Subscriptions: [
              { Name: "all" },
              {
                Name: "sports",
                Rules: [
                  { Name: "r", Properties: { CorrelationFilter: { Label: "sports", Properties: { region: "eu" } } } },
                ],
              },
            ],
          },
        ],
      },
    ],
  },
};

const open = () => openBroker(config);

const patient = { maxWaitTimeInMs: 3_000 };
const brief = { maxWaitTimeInMs: 200 };

async function one(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, patient);
  if (!message) throw new Error("no message came");
  return message;
}

describe("sending and receiving", () => {
  test("a message comes back as it was sent, with what the broker adds", async () => {
    await using it = await open();
    const sender = it.client.createSender("work");
    await sender.sendMessages({
      body: { reading: 1.5, unit: "°C" },
      messageId: "m-1",
      correlationId: "c-1",
      subject: "reading",
      contentType: "application/json",
      applicationProperties: { "cloudEvents:type": "t.v1", count: 3, ratio: 0.5, yes: true, at: new Date(5_000) },
    });
    const receiver = it.client.createReceiver("work", noRenewal);
    const message = await one(receiver);
    expect(message.body).toEqual({ reading: 1.5, unit: "°C" });
    expect(message).toMatchObject({ messageId: "m-1", correlationId: "c-1", subject: "reading", deliveryCount: 0 });
    expect(message.applicationProperties).toEqual({
      "cloudEvents:type": "t.v1",
      count: 3,
      ratio: 0.5,
      yes: true,
      at: 5_000,
    });
    expect(message.sequenceNumber?.toNumber()).toBe(1);
    expect(message.enqueuedTimeUtc?.getTime()).toBeCloseTo(Date.now(), -4);
    expect(message.lockedUntilUtc!.getTime()).toBeGreaterThan(Date.now());
    await receiver.completeMessage(message);
    expect(it.broker.inspect("work")).toMatchObject({ active: 0, locked: 0, enqueued: 1 });
  });

  test("a batch arrives whole, in order", async () => {
    await using it = await open();
    const sender = it.client.createSender("work");
    const batch = await sender.createMessageBatch();
    for (let n = 0; n < 100; n++) expect(batch.tryAddMessage({ body: n, messageId: `b-${n}` })).toBe(true);
    await sender.sendMessages(batch);
    const receiver = it.client.createReceiver("work", { receiveMode: "receiveAndDelete" });
    const bodies: unknown[] = [];
    while (bodies.length < 100) bodies.push(...(await receiver.receiveMessages(100, patient)).map(({ body }) => body));
    expect(bodies).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(it.broker.inspect("work").active).toBe(0);
  });

  test("a large message travels in several frames, both ways", async () => {
    await using it = await open();
    const body = Buffer.alloc(200_000, 7);
    await it.client.createSender("work").sendMessages({ body });
    const message = await one(it.client.createReceiver("work", noRenewal));
    expect(Buffer.compare(message.body, body)).toBe(0);
  });

  test("a topic gives every subscription its own copy, by its rules", async () => {
    await using it = await open();
    const sender = it.client.createSender("news");
    await sender.sendMessages([
      { body: "a", subject: "sports", applicationProperties: { region: "eu" } },
      { body: "b", subject: "sports", applicationProperties: { region: "us" } },
      { body: "c", subject: "weather" },
    ]);
    expect(it.broker.inspect("news/Subscriptions/all").active).toBe(3);
    expect(it.broker.inspect("NEWS/subscriptions/SPORTS").active).toBe(1);
    expect((await one(it.client.createReceiver("news", "sports", noRenewal))).body).toBe("a");
  });

  test("a waiting receiver gets a message that is sent later", async () => {
    await using it = await open();
    const waiting = it.client.createReceiver("work", noRenewal).receiveMessages(1, { maxWaitTimeInMs: 5_000 });
    await it.client.createSender("work").sendMessages({ body: "late" });
    expect((await waiting).map(({ body }) => body)).toEqual(["late"]);
  });

  test("a receiver that stops waiting gets its answer at once, and can ask again", async () => {
    await using it = await open();
    const receiver = it.client.createReceiver("work", noRenewal);
    expect(await receiver.receiveMessages(5, brief)).toEqual([]);
    await it.client.createSender("work").sendMessages({ body: "x" });
    expect(await receiver.receiveMessages(5, patient)).toHaveLength(1);
  });

  test("a message over the link's limit is refused, and the next one still goes through", async () => {
    await using it = await open();
    const sender = it.client.createSender("work");
    const batch = await sender.createMessageBatch();
    expect(batch.maxSizeInBytes).toBe(262_144);
    await expect(sender.sendMessages({ body: Buffer.alloc(300_000) })).rejects.toMatchObject({
      code: "MessageSizeExceeded",
    });
    await sender.sendMessages({ body: "fits" });
    expect(it.broker.inspect("work").active).toBe(1);
  });

  test("a full queue refuses instead of growing", async () => {
    await using it = await open();
    const sender = it.client.createSender("small");
    const send = () => sender.sendMessages({ body: Buffer.alloc(200_000) });
    for (let n = 0; n < 5; n++) await send();
    await expect(send()).rejects.toMatchObject({ code: "QuotaExceeded" });
  });
});

describe("settling", () => {
  test("an abandoned message comes again, then goes to the dead-letter queue with its reason", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages({ body: "poison", messageId: "p" });
    const receiver = it.client.createReceiver("work", noRenewal);
    for (let delivery = 0; delivery < 3; delivery++) {
      const message = await one(receiver);
      expect(message.deliveryCount).toBe(delivery);
      await receiver.abandonMessage(message, { tried: delivery });
    }
    expect(it.broker.inspect("work")).toMatchObject({ active: 0, deadLettered: 1 });
    const dead = await one(it.client.createReceiver("work", { ...noRenewal, subQueueType: "deadLetter" }));
    expect(dead).toMatchObject({
      body: "poison",
      messageId: "p",
      deadLetterReason: "MaxDeliveryCountExceeded",
      deadLetterSource: "work",
      applicationProperties: { tried: 2 },
    });
  });

  test("a dead-lettered message keeps the receiver's reason", async () => {
    await using it = await open();
    await it.client.createSender("news").sendMessages({ body: "bad", applicationProperties: { kept: 1 } });
    const receiver = it.client.createReceiver("news", "all", noRenewal);
    await receiver.deadLetterMessage(await one(receiver), {
      deadLetterReason: "unreadable",
      deadLetterErrorDescription: "no such field",
    });
    const dead = await one(it.client.createReceiver("news", "all", { ...noRenewal, subQueueType: "deadLetter" }));
    expect(dead).toMatchObject({ deadLetterReason: "unreadable", deadLetterErrorDescription: "no such field" });
    expect(dead.applicationProperties).toMatchObject({ kept: 1 });
  });

  test("a dead letter can be completed, and abandoning it changes nothing", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages({ body: "x" });
    const receiver = it.client.createReceiver("work", noRenewal);
    await receiver.deadLetterMessage(await one(receiver));
    const deadLetters = it.client.createReceiver("work", { ...noRenewal, subQueueType: "deadLetter" });
    await deadLetters.abandonMessage(await one(deadLetters));
    const again = await one(deadLetters);
    expect(again.deliveryCount).toBe(0);
    await deadLetters.completeMessage(again);
    expect(it.broker.inspect("work").deadLettered).toBe(0);
  });

  test("a deferred message is out of the way until it is asked for by number", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages([{ body: "later" }, { body: "now" }]);
    const receiver = it.client.createReceiver("work", noRenewal);
    const first = await one(receiver);
    await receiver.deferMessage(first);
    expect((await one(receiver)).body).toBe("now");
    expect(it.broker.inspect("work").deferred).toBe(1);
    const [deferred] = await receiver.receiveDeferredMessages(first.sequenceNumber!);
    expect(deferred).toMatchObject({ body: "later", state: "deferred", deliveryCount: 1 });
    await receiver.completeMessage(deferred!);
    expect(it.broker.inspect("work").deferred).toBe(0);
  });

  test("a lock that runs out frees the message, and settling it late is refused", async () => {
    await using it = await open();
    await it.client.createSender("short-lock").sendMessages({ body: "slow" });
    const receiver = it.client.createReceiver("short-lock", noRenewal);
    const first = await one(receiver);
    const second = await one(receiver);
    expect(second.deliveryCount).toBe(1);
    await expect(receiver.completeMessage(first)).rejects.toMatchObject({ code: "MessageLockLost" });
    await eventually(() => it.broker.inspect("short-lock").deadLettered === 1);
  });

  test("a renewed lock holds", async () => {
    await using it = await open();
    await it.client.createSender("short-lock").sendMessages({ body: "slow" });
    const receiver = it.client.createReceiver("short-lock", noRenewal);
    const message = await one(receiver);
    for (let n = 0; n < 4; n++) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      const until = await receiver.renewMessageLock(message);
      expect(until.getTime()).toBeGreaterThan(Date.now() + 500);
    }
    await receiver.completeMessage(message);
    expect(it.broker.inspect("short-lock")).toMatchObject({ active: 0, deadLettered: 0 });
  });

  test("a message can be settled after its link is gone", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages({ body: "x" });
    const receiver = it.client.createReceiver("work", noRenewal);
    const message = await one(receiver);
    await receiver.close();
    expect(it.broker.inspect("work").locked).toBe(1);
    await it.client.createReceiver("work", noRenewal).completeMessage(message);
    expect(it.broker.inspect("work").active).toBe(0);
  });

  test("an expired message goes to the dead-letter queue where the queue says so", async () => {
    await using it = await open();
    await it.client.createSender("brief").sendMessages({ body: "x", timeToLive: 50 });
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(await it.client.createReceiver("brief", noRenewal).receiveMessages(1, brief)).toEqual([]);
    const dead = await one(it.client.createReceiver("brief", { ...noRenewal, subQueueType: "deadLetter" }));
    expect(dead.deadLetterReason).toBe("TTLExpiredException");
  });

  test("peeking shows messages and leaves them alone", async () => {
    await using it = await open();
    await it.client.createSender("work").sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
    const receiver = it.client.createReceiver("work", noRenewal);
    expect((await receiver.peekMessages(2)).map(({ body }) => body)).toEqual([1, 2]);
    expect((await receiver.peekMessages(2)).map(({ body }) => body)).toEqual([3]);
    expect(it.broker.inspect("work")).toMatchObject({ active: 3, locked: 0 });
  });
});

describe("duplicate detection", () => {
  test("a repeated message id is accepted and not stored again, alone, in a batch and in a topic", async () => {
    await using it = await open();
    for (const entity of ["unique", "news"]) {
      const sender = it.client.createSender(entity);
      await sender.sendMessages({ body: 1, messageId: "a" });
      await sender.sendMessages({ body: 2, messageId: "a" });
      await sender.sendMessages([
        { body: 3, messageId: "a" },
        { body: 4, messageId: "b" },
        { body: 5, messageId: "b" },
      ]);
    }
    expect(it.broker.inspect("unique").active).toBe(2);
    expect(it.broker.inspect("news/Subscriptions/all").active).toBe(2);
  });

  test("it holds after the message has been completed", async () => {
    await using it = await open();
    const sender = it.client.createSender("unique");
    const receiver = it.client.createReceiver("unique", noRenewal);
    await sender.sendMessages({ body: 1, messageId: "a" });
    await receiver.completeMessage(await one(receiver));
    await sender.sendMessages({ body: 1, messageId: "a" });
    expect(it.broker.inspect("unique")).toMatchObject({ active: 0, enqueued: 1 });
  });
});

describe("access", () => {
  test("an unknown entity is not found", async () => {
    await using it = await open();
    await expect(it.client.createSender("nothing").sendMessages({ body: 1 })).rejects.toMatchObject({
      code: "MessagingEntityNotFound",
    });
    await expect(it.client.createReceiver("nothing", noRenewal).receiveMessages(1, brief)).rejects.toMatchObject({
      code: "MessagingEntityNotFound",
    });
  });

  test("a wrong key is refused", async () => {
    await using it = await open();
    const wrong = it.broker.connectionString.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=d3Jvbmc=");
    const client = new ServiceBusClient(wrong, { retryOptions: { maxRetries: 0, timeoutInMs: 2_000 } });
    await expect(client.createSender("work").sendMessages({ body: 1 })).rejects.toMatchObject({
      code: "UnauthorizedAccess",
    });
    await client.close();
  });
});

describe("many messages", () => {
  test("20,000 messages reach several concurrent receivers exactly once each", async () => {
    await using it = await open();
    const total = 20_000;
    const sender = it.client.createSender("work");
    const seen = new Set<string>();
    let received = 0;
    const subscriptions = [1, 2, 3].map(() =>
      it.client.createReceiver("work", noRenewal).subscribe(
        {
          async processMessage(message) {
            seen.add(String(message.messageId));
            received++;
          },
          async processError() {},
        },
        { maxConcurrentCalls: 100 },
      ),
    );
    for (let at = 0; at < total; at += 100) {
      await sender.sendMessages(Array.from({ length: 100 }, (_, n) => ({ body: at + n, messageId: String(at + n) })));
    }
    const deadline = Date.now() + 60_000;
    while (it.broker.inspect("work").active > 0 && Date.now() < deadline) await new Promise((r) => setTimeout(r, 50));
    expect(received).toBe(total);
    expect(seen.size).toBe(total);
    for (const subscription of subscriptions) await subscription.close();
  }, 90_000);

  test("one message that stays locked does not stall its link", async () => {
    await using it = await open();
    const sender = it.client.createSender("work");
    const receiver = it.client.createReceiver("work", noRenewal);
    await sender.sendMessages({ body: "held" });
    const held = await one(receiver);
    const total = 1_900; // the SDK's own session holds at most 2,048 deliveries behind an unsettled one
    for (let at = 0; at < total; at += 100) {
      await sender.sendMessages(Array.from({ length: 100 }, (_, n) => ({ body: at + n })));
    }
    let settled = 0;
    while (settled < total) {
      const messages = await receiver.receiveMessages(200, patient);
      await Promise.all(messages.map((message) => receiver.completeMessage(message)));
      settled += messages.length;
    }
    expect(held.body).toBe("held");
    expect(settled).toBe(total);
  }, 60_000);
});
