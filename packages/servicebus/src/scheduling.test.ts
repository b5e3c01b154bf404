import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import {
  configOf,
  eventually,
  noRenewal,
  nothing,
  one,
  openBroker,
  scratchFolder,
  some,
} from "./testing/local-broker.ts";

const config = configOf({
  Queues: [
    { Name: "work" },
    { Name: "small", Properties: { MaxSizeInMegabytes: 1, DefaultMessageTimeToLive: "PT1S" } },
    { Name: "unique", Properties: { RequiresDuplicateDetection: true } },
  ],
  Topics: [
    {
      Name: "news",
      Subscriptions: [
        { Name: "all" },
        { Name: "sports", Rules: [{ Name: "r", Properties: { CorrelationFilter: { Label: "sports" } } }] },
      ],
    },
  ],
});
const inFuture = (ms: number) => new Date(Date.now() + ms);
const HOUR = 3_600_000;

test("a scheduled message comes at its time, with a new number and when it was due", async () => {
  await using it = await openBroker(config);
  const dueAt = inFuture(1_000);
  const [number] = await it.client.createSender("work").scheduleMessages([{ body: "later" }], dueAt);
  await it.client.createSender("work").sendMessages({ body: "now" });
  expect(it.broker.inspect("work")).toMatchObject({ active: 1, scheduled: 1, enqueued: 1 });
  const receiver = it.client.createReceiver("work", noRenewal);
  expect((await one(receiver)).body).toBe("now");
  const later = await one(receiver);
  expect(later).toMatchObject({ body: "later", scheduledEnqueueTimeUtc: dueAt, state: "scheduled", deliveryCount: 0 });
  expect(later.enqueuedTimeUtc!.getTime()).toBeGreaterThanOrEqual(dueAt.getTime());
  expect(later.sequenceNumber!.toNumber()).toBeGreaterThan(number!.toNumber());
  await receiver.completeMessage(later);
  expect(it.broker.inspect("work")).toMatchObject({ scheduled: 0, enqueued: 2 });
});

test("messages come in the order in which they are due, those of one time in the order in which they were sent", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  const [early, late] = [inFuture(1_000), inFuture(1_100)];
  await sender.scheduleMessages({ body: "third" }, late);
  await sender.scheduleMessages([{ body: "first" }, { body: "second" }], early);
  const messages = await some(it.client.createReceiver("work", noRenewal), 3);
  expect(messages.map(({ body }) => body)).toEqual(["first", "second", "third"]);
});

test("a time can be given to a message that is sent as any other, alone or in a batch; one in the past is now", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  await sender.sendMessages({ body: "alone", scheduledEnqueueTimeUtc: inFuture(HOUR) });
  await sender.sendMessages([
    { body: "in an hour", scheduledEnqueueTimeUtc: inFuture(HOUR) },
    { body: "an hour ago", scheduledEnqueueTimeUtc: inFuture(-HOUR) },
    { body: "now" },
  ]);
  expect(it.broker.inspect("work")).toMatchObject({ active: 2, scheduled: 2 });
  const messages = await some(it.client.createReceiver("work", noRenewal), 2);
  expect(messages.map(({ body }) => body)).toEqual(["an hour ago", "now"]);
});

test("peeking shows what is scheduled, in order of number", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  const dueAt = inFuture(HOUR);
  await sender.sendMessages({ body: 1 });
  await sender.scheduleMessages({ body: 2 }, dueAt);
  await sender.sendMessages({ body: 3 });
  const receiver = it.client.createReceiver("work", noRenewal);
  const peeked = await receiver.peekMessages(10);
  expect(peeked.map(({ body, state }) => ({ body, state }))).toEqual([
    { body: 1, state: "active" },
    { body: 2, state: "scheduled" },
    { body: 3, state: "active" },
  ]);
  expect(peeked[1]!.scheduledEnqueueTimeUtc).toEqual(dueAt);
});

test("what is cancelled does not come; what is not scheduled cannot be cancelled, and then nothing else is", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  const [first, second] = await sender.scheduleMessages([{ body: "first" }, { body: "second" }], inFuture(HOUR));
  await sender.cancelScheduledMessages(first!);
  expect(it.broker.inspect("work").scheduled).toBe(1);
  await expect(sender.cancelScheduledMessages([second!, first!])).rejects.toMatchObject({ code: "MessageNotFound" });
  expect(it.broker.inspect("work").scheduled).toBe(1);
  await sender.cancelScheduledMessages([second!]);
  expect(it.broker.inspect("work")).toMatchObject({ scheduled: 0, bytes: 0 });
});

test("thousands scheduled and cancelled leave nothing behind", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  for (let round = 0; round < 20; round++) {
    const messages = Array.from({ length: 100 }, (_, n) => ({ body: n }));
    await sender.cancelScheduledMessages(await sender.scheduleMessages(messages, inFuture(HOUR)));
  }
  await sender.scheduleMessages({ body: "last" }, inFuture(100));
  expect((await one(it.client.createReceiver("work", noRenewal))).body).toBe("last");
  expect(it.broker.inspect("work")).toMatchObject({ scheduled: 0, enqueued: 1 });
});

test("a topic holds a scheduled message back, and its rules look at it when it is due", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("news");
  const [cancelled] = await sender.scheduleMessages({ body: "never" }, inFuture(HOUR));
  await sender.scheduleMessages([{ body: "a", subject: "sports" }, { body: "b" }], inFuture(1_000));
  expect(it.broker.inspect("news/Subscriptions/all")).toMatchObject({ active: 0, scheduled: 0 });
  await sender.cancelScheduledMessages(cancelled!);
  await eventually(() => it.broker.inspect("news/Subscriptions/all").active === 2);
  expect(it.broker.inspect("news/Subscriptions/sports").active).toBe(1);
  const message = await one(it.client.createReceiver("news", "sports", noRenewal));
  expect(message).toMatchObject({ body: "a", state: "scheduled" });
});

test("a message's time to live begins when it is due", async () => {
  await using it = await openBroker(config);
  await it.client.createSender("small").scheduleMessages({ body: "x" }, inFuture(1_500));
  expect((await one(it.client.createReceiver("small", noRenewal))).body).toBe("x");
});

test("scheduled messages count against the size of a queue, and a repeated id is scheduled once", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("small");
  const send = () => sender.scheduleMessages({ body: Buffer.alloc(200_000) }, inFuture(HOUR));
  for (let n = 0; n < 5; n++) await send();
  await expect(send()).rejects.toMatchObject({ code: "QuotaExceeded" });
  const unique = it.client.createSender("unique");
  await unique.scheduleMessages({ body: 1, messageId: "a" }, inFuture(HOUR));
  await unique.scheduleMessages({ body: 1, messageId: "a" }, inFuture(HOUR));
  expect(it.broker.inspect("unique").scheduled).toBe(1);
});

test("scheduled messages survive a restart: those due meanwhile come at once, the others at their time", async () => {
  await using place = await scratchFolder();
  {
    await using it = await openBroker(config, { dataDir: place.dir });
    const sender = it.client.createSender("work");
    await sender.scheduleMessages({ body: "soon" }, inFuture(50));
    await sender.scheduleMessages({ body: "gone" }, inFuture(HOUR)).then((at) => sender.cancelScheduledMessages(at));
    await sender.scheduleMessages({ body: "later" }, inFuture(HOUR));
    await it.client.createSender("news").scheduleMessages({ body: "news" }, inFuture(HOUR));
  }
  await using it = await openBroker(config, { dataDir: place.dir });
  const receiver = it.client.createReceiver("work", noRenewal);
  await receiver.completeMessage(await one(receiver));
  expect(await nothing(receiver)).toBe(true);
  expect(it.broker.inspect("work")).toMatchObject({ active: 0, scheduled: 1, enqueued: 1 });
  const [next] = await it.client.createSender("news").scheduleMessages({ body: "more" }, inFuture(HOUR));
  expect(next!.toNumber()).toBe(2);
  const [peeked] = await receiver.peekMessages(1);
  expect(peeked).toMatchObject({ body: "later", state: "scheduled" });
});

test("a data folder of the version before is opened and brought up to date", async () => {
  await using place = await scratchFolder();
  const db = new DatabaseSync(path.join(place.dir, "servicebus.sqlite"));
  db.exec(`
    CREATE TABLE messages (
      queue TEXT NOT NULL, sequence_number INTEGER NOT NULL, enqueued_at INTEGER NOT NULL, expires_at INTEGER,
      delivery_count INTEGER NOT NULL, deferred INTEGER NOT NULL, dead_letter TEXT, amendments BLOB,
      content BLOB NOT NULL, PRIMARY KEY (queue, sequence_number)
    );
    CREATE TABLE counters (queue TEXT PRIMARY KEY, last_sequence_number INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO messages VALUES ('work', 7, 1000, NULL, 1, 0, NULL, NULL, x'005375a0026f6b');
    INSERT INTO counters VALUES ('work', 7);
  `);
  db.close();
  for (let run = 0; run < 2; run++) {
    await using it = await openBroker(config, { dataDir: place.dir });
    expect(it.broker.inspect("work")).toMatchObject({ active: 1, enqueued: 7 });
    const message = await one(it.client.createReceiver("work", noRenewal));
    expect(message.sequenceNumber!.toNumber()).toBe(7);
    expect(String(message.body)).toBe("ok");
  }
});
