import { expect, test } from "vitest";
import {
  administrationOf,
  configOf,
  eventually,
  noRenewal,
  one,
  openBroker,
  scratchFolder,
  some,
} from "./testing/local-broker.ts";

const config = configOf({
  Queues: [
    { Name: "inbox", Properties: { ForwardTo: "work" } },
    { Name: "work", Properties: { ForwardDeadLetteredMessagesTo: "graves", MaxDeliveryCount: 1 } },
    { Name: "graves" },
    { Name: "loop-a", Properties: { ForwardTo: "loop-b", ForwardDeadLetteredMessagesTo: "loop-b" } },
    { Name: "loop-b", Properties: { ForwardTo: "loop-a" } },
    ...["one", "two", "three", "four"].map((Name, at, all) => ({
      Name,
      Properties: { ForwardTo: all[at + 1] ?? "end" },
    })),
    { Name: "end" },
    { Name: "to-small", Properties: { ForwardTo: "small" } },
    { Name: "small", Properties: { MaxSizeInMegabytes: 1 } },
    { Name: "to-unique", Properties: { ForwardTo: "unique" } },
    { Name: "unique", Properties: { RequiresDuplicateDetection: true } },
    { Name: "brief", Properties: { DeadLetteringOnMessageExpiration: true, ForwardDeadLetteredMessagesTo: "graves" } },
  ],
  Topics: [
    {
      Name: "news",
      Subscriptions: [
        {
          Name: "eu",
          Properties: { ForwardTo: "work" },
          Rules: [{ Name: "eu", Properties: { SqlFilter: { SqlExpression: "region = 'eu'" } } }],
        },
        { Name: "republished", Properties: { ForwardTo: "more-news" } },
      ],
    },
    { Name: "more-news", Subscriptions: [{ Name: "all" }] },
  ],
});

test("a queue passes on what it gets, and has no receivers", async () => {
  await using it = await openBroker(config);
  await it.client.createSender("inbox").sendMessages([{ body: 1, messageId: "m" }, { body: 2 }]);
  expect(it.broker.inspect("inbox")).toMatchObject({ active: 0, bytes: 0 });
  const messages = await some(it.client.createReceiver("work", noRenewal), 2);
  expect(messages.map(({ body }) => body)).toEqual([1, 2]);
  expect(messages[0]).toMatchObject({ messageId: "m", deliveryCount: 0 });
  await expect(it.client.createReceiver("inbox", noRenewal).receiveMessages(1)).rejects.toThrow(
    /forwards its messages/,
  );
});

test("a subscription passes on what its rules take, to a queue or to a topic with subscriptions of its own", async () => {
  await using it = await openBroker(config);
  await it.client.createSender("news").sendMessages([
    { body: 1, applicationProperties: { region: "eu" } },
    { body: 2, applicationProperties: { region: "us" } },
  ]);
  expect(it.broker.inspect("work").active).toBe(1);
  expect(it.broker.inspect("more-news/Subscriptions/all").active).toBe(2);
  expect((await one(it.client.createReceiver("work", noRenewal))).body).toBe(1);
});

test("dead letters are passed on with their reason, whatever made them dead letters", async () => {
  await using it = await openBroker(config);
  await it.client.createSender("work").sendMessages([{ body: "given up" }, { body: "failed" }]);
  await it.client.createSender("brief").sendMessages({ body: "expired", timeToLive: 20 });
  const receiver = it.client.createReceiver("work", noRenewal);
  const [first, second] = await some(receiver, 2);
  await receiver.deadLetterMessage(first!, {
    deadLetterReason: "no use",
    deadLetterErrorDescription: "none at all",
    note: "kept",
  });
  await receiver.abandonMessage(second!);
  expect(it.broker.inspect("work").deadLettered).toBe(0);
  const expired = Date.now() + 50;
  await eventually(() => Date.now() > expired);
  await it.client.createReceiver("brief", noRenewal).receiveMessages(1, { maxWaitTimeInMs: 100 });
  const dead = await some(it.client.createReceiver("graves", noRenewal), 3);
  expect(dead).toMatchObject([
    {
      body: "given up",
      deadLetterReason: "no use",
      deadLetterSource: "work",
      deadLetterErrorDescription: "none at all",
      applicationProperties: { note: "kept" },
    },
    { body: "failed", deadLetterReason: "MaxDeliveryCountExceeded", deadLetterSource: "work" },
    { body: "expired", deadLetterReason: "TTLExpiredException", deadLetterSource: "brief" },
  ]);
});

test("what is to go to a disabled entity is a transfer dead letter of the one that forwards", async () => {
  await using it = await openBroker(config);
  const administration = administrationOf(it.broker);
  await administration.updateQueue({ ...(await administration.getQueue("work")), status: "SendDisabled" });
  await it.client.createSender("inbox").sendMessages({ body: 1, messageId: "m" });
  expect(it.broker.inspect("inbox")).toMatchObject({ active: 0, deadLettered: 0, transferDeadLettered: 1 });
  expect(await administration.getQueueRuntimeProperties("inbox")).toMatchObject({
    transferDeadLetterMessageCount: 1,
    totalMessageCount: 1,
  });
  const receiver = it.client.createReceiver("inbox", { ...noRenewal, subQueueType: "transferDeadLetter" });
  const dead = await one(receiver);
  expect(dead).toMatchObject({ body: 1, messageId: "m", deadLetterReason: "MessagingEntityDisabled" });
  expect(dead.deadLetterSource).toBe("inbox");
  await receiver.completeMessage(dead);
  expect(it.broker.inspect("inbox").transferDeadLettered).toBe(0);
});

test("four times a message is passed on; a fifth time, or in a circle, it is a transfer dead letter where it stopped", async () => {
  await using it = await openBroker(config);
  await it.client.createSender("one").sendMessages({ body: "four hops" });
  expect(it.broker.inspect("end").active).toBe(1);
  await it.client.createSender("loop-a").sendMessages({ body: "round and round" });
  const dead = await one(it.client.createReceiver("loop-a", { ...noRenewal, subQueueType: "transferDeadLetter" }));
  expect(dead).toMatchObject({ body: "round and round", deadLetterReason: "MaxTransferHopCountExceeded" });
  expect(it.broker.inspect("loop-b")).toMatchObject({ active: 0, deadLettered: 0 });
});

test("what finds no room waits, in order, until there is some", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("to-small");
  for (let n = 0; n < 6; n++) await sender.sendMessages({ body: Buffer.alloc(200_000, n) });
  await sender.sendMessages({ body: Buffer.from([6]) }); // would fit, but it is not its turn
  expect(it.broker.inspect("small").active).toBe(5);
  expect(it.broker.inspect("to-small").active).toBe(2);
  const receiver = it.client.createReceiver("small", { receiveMode: "receiveAndDelete" });
  const firstBytes: number[] = [];
  while (firstBytes.length < 7) {
    for (const { body } of await receiver.receiveMessages(7, { maxWaitTimeInMs: 8_000 })) firstBytes.push(body[0]);
  }
  expect(firstBytes).toEqual([0, 1, 2, 3, 4, 5, 6]);
}, 20_000);

test("the destination's duplicate detection counts", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("to-unique");
  await sender.sendMessages([
    { body: 1, messageId: "a" },
    { body: 2, messageId: "a" },
  ]);
  expect(it.broker.inspect("unique")).toMatchObject({ active: 1, enqueued: 1 });
});

test("a scheduled message is passed on when it is due", async () => {
  await using it = await openBroker(config);
  await it.client.createSender("inbox").scheduleMessages({ body: "later" }, new Date(Date.now() + 1_000));
  expect(it.broker.inspect("inbox").scheduled).toBe(1);
  expect(await one(it.client.createReceiver("work", noRenewal))).toMatchObject({ body: "later", state: "scheduled" });
});

test("forwarding survives a restart, and a queue that begins to forward passes on what it has", async () => {
  await using place = await scratchFolder();
  const queues = (ForwardTo: string) => configOf({ Queues: [{ Name: "a", Properties: { ForwardTo } }, { Name: "b" }] });
  {
    await using it = await openBroker(queues(""), { dataDir: place.dir });
    await it.client.createSender("a").sendMessages([{ body: 1 }, { body: 2 }]);
  }
  {
    await using it = await openBroker(queues("b"), { dataDir: place.dir });
    expect(it.broker.inspect("b").active).toBe(2);
  }
  await using it = await openBroker(queues("b"), { dataDir: place.dir });
  const messages = await some(it.client.createReceiver("b", noRenewal), 2);
  expect(messages.map(({ body }) => body)).toEqual([1, 2]);
});
