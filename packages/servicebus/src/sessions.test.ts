import { once } from "node:events";
import rhea from "rhea";
import { describe, expect, test } from "vitest";
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
    { Name: "work", Properties: { RequiresSession: true, MaxDeliveryCount: 3 } },
    { Name: "short", Properties: { RequiresSession: true, LockDuration: "PT1S", MaxDeliveryCount: 2 } },
    { Name: "brief", Properties: { RequiresSession: true, DefaultMessageTimeToLive: "PT0.2S" } },
    { Name: "plain" },
  ],
  Topics: [{ Name: "news", Subscriptions: [{ Name: "sessions", Properties: { RequiresSession: true } }] }],
});
const SESSION_FILTER_CODE = 0x137000000c;
const inSession = (sessionId: string, ...bodies: unknown[]) => bodies.map((body) => ({ body, sessionId }));
const bodiesOf = (messages: readonly { body: unknown }[]) => messages.map(({ body }) => body);

describe("receiving", () => {
  test("a session gives its own messages, in order, to the one who holds it", async () => {
    await using it = await openBroker(config);
    const sender = it.client.createSender("work");
    await sender.sendMessages([...inSession("a", 1, 2), ...inSession("b", 10), ...inSession("a", 3)]);
    const receiver = await it.client.acceptSession("work", "a", noRenewal);
    expect(receiver.sessionId).toBe("a");
    expect(receiver.sessionLockedUntilUtc.getTime()).toBeGreaterThan(Date.now() + 50_000);
    const messages = await some(receiver, 3);
    expect(bodiesOf(messages)).toEqual([1, 2, 3]);
    expect(messages[0]).toMatchObject({ sessionId: "a", deliveryCount: 0 });
    for (const message of messages) await receiver.completeMessage(message);
    await sender.sendMessages(inSession("a", 4));
    expect((await one(receiver)).body).toBe(4);
    expect(await nothing(receiver)).toBe(true);
    expect(it.broker.inspect("work")).toMatchObject({ active: 2, locked: 1, enqueued: 5 });
  });

  test("the next session is the one that has waited longest and nobody holds", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("work").sendMessages([...inSession("first", 1), ...inSession("second", 2)]);
    const first = await it.client.acceptNextSession("work", noRenewal);
    const second = await it.client.acceptNextSession("work", noRenewal);
    expect([first.sessionId, second.sessionId]).toEqual(["first", "second"]);
    expect((await one(second)).body).toBe(2);
    expect((await one(first)).body).toBe(1);
  });

  test("who asks for the next session waits until one has a message", async () => {
    await using it = await openBroker(config);
    const waiting = [1, 2].map(() => it.client.acceptNextSession("work", noRenewal));
    await it.client.createSender("work").sendMessages([...inSession("a", 1), ...inSession("b", 2)]);
    const receivers = await Promise.all(waiting);
    expect(receivers.map(({ sessionId }) => sessionId).sort()).toEqual(["a", "b"]);
    expect(bodiesOf(await some(receivers[0]!, 1))).toEqual([receivers[0]!.sessionId === "a" ? 1 : 2]);
  });

  test("waiting ends with a time-out of the service, and whoever has left is not given a session", async () => {
    await using it = await openBroker(config, { timeoutInMs: 1_000 });
    await expect(it.client.acceptNextSession("work", noRenewal)).rejects.toMatchObject({ code: "ServiceTimeout" });
    await it.client.createSender("work").sendMessages(inSession("a", 1));
    expect((await one(await it.client.acceptNextSession("work", noRenewal))).body).toBe(1);
  });

  test("a session that is held cannot be accepted until it is closed, and what was not settled comes again", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("work").sendMessages(inSession("a", 1, 2, 3));
    const first = await it.client.acceptSession("work", "a", noRenewal);
    await expect(it.client.acceptSession("work", "a", noRenewal)).rejects.toMatchObject({
      code: "SessionCannotBeLocked",
    });
    await first.completeMessage((await some(first, 2))[0]!);
    await first.close();
    await eventually(() => it.broker.inspect("work").locked === 0);
    const second = await it.client.acceptSession("work", "a", noRenewal);
    const rest = await some(second, 2);
    expect(rest.map(({ body, deliveryCount }) => ({ body, deliveryCount }))).toEqual([
      { body: 2, deliveryCount: 0 }, // as in Azure, closing a session is no failed delivery
      { body: 3, deliveryCount: 0 },
    ]);
  });

  test("closing a session serves who waits for the next one", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("work").sendMessages(inSession("a", 1));
    const first = await it.client.acceptNextSession("work", noRenewal);
    const waiting = it.client.acceptNextSession("work", noRenewal);
    await first.close();
    expect((await one(await waiting)).body).toBe(1);
  });

  test("an abandoned message comes again before those after it, and at the limit it is a dead letter", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("work").sendMessages(inSession("a", "poison", "fine"));
    const receiver = await it.client.acceptSession("work", "a", noRenewal);
    for (let delivery = 0; delivery < 3; delivery++) {
      const message = await one(receiver);
      expect(message).toMatchObject({ body: "poison", deliveryCount: delivery });
      await receiver.abandonMessage(message);
    }
    expect((await one(receiver)).body).toBe("fine");
    const deadLetters = it.client.createReceiver("work", { ...noRenewal, subQueueType: "deadLetter" });
    expect(await one(deadLetters)).toMatchObject({ body: "poison", sessionId: "a" });
  });

  test("receive-and-delete takes a session's messages for good", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("work").sendMessages([...inSession("a", 1, 2), ...inSession("b", 3)]);
    const receiver = await it.client.acceptSession("work", "a", { receiveMode: "receiveAndDelete" });
    expect(bodiesOf(await some(receiver, 2))).toEqual([1, 2]);
    expect(it.broker.inspect("work")).toMatchObject({ active: 1, locked: 0 });
  });

  test("a session's deferred messages are received by number, only by its holder", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("work").sendMessages([...inSession("a", 1, 2), ...inSession("b", 3)]);
    const a = await it.client.acceptSession("work", "a", noRenewal);
    const b = await it.client.acceptSession("work", "b", noRenewal);
    const message = await one(a);
    await a.deferMessage(message);
    await expect(b.receiveDeferredMessages(message.sequenceNumber!)).rejects.toMatchObject({ code: "MessageNotFound" });
    const [deferred] = await a.receiveDeferredMessages(message.sequenceNumber!);
    expect(deferred).toMatchObject({ body: 1, state: "deferred", sessionId: "a" });
    await a.completeMessage(deferred!);
    expect(it.broker.inspect("work")).toMatchObject({ active: 2, deferred: 0 });
  });

  test("a subscription has sessions too, and makes a message without one a dead letter", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("news").sendMessages([...inSession("a", 1), { body: "without" }]);
    const receiver = await it.client.acceptNextSession("news", "sessions", noRenewal);
    expect((await one(receiver)).body).toBe(1);
    const deadLetters = it.client.createReceiver("news", "sessions", { ...noRenewal, subQueueType: "deadLetter" });
    expect(await one(deadLetters)).toMatchObject({ body: "without", deadLetterReason: "Session ID is null." });
  });

  test("a scheduled message joins its session when it is due", async () => {
    await using it = await openBroker(config);
    const message = { body: "later", sessionId: "a" };
    await it.client.createSender("work").scheduleMessages(message, new Date(Date.now() + 200));
    expect((await one(await it.client.acceptNextSession("work", noRenewal))).body).toBe("later");
  });
});

test("a client that describes its session filter, as those for Go and Java do, is answered in that form", async () => {
  await using it = await openBroker(config);
  const [, key] = /SharedAccessKey=([^;]+)/.exec(it.broker.connectionString)!;
  const connection = rhea.create_container().connect({
    port: it.broker.port,
    host: "127.0.0.1",
    username: "RootManageSharedAccessKey",
    password: key,
    reconnect: false,
  });
  const filter = { "com.microsoft:session-filter": rhea.types.wrap_described(null, SESSION_FILTER_CODE) };
  const link = connection.open_receiver({ source: { address: "work", filter }, credit_window: 0 });
  link.add_credit(1); // without waiting for the answer
  const delivered = once(link, "message");
  await it.client.createSender("work").sendMessages(inSession("a", 1));
  await once(link, "receiver_open");
  const answer = link.source.filter?.["com.microsoft:session-filter"];
  expect(answer).toMatchObject({ value: "a", descriptor: { value: SESSION_FILTER_CODE } });
  expect(link.properties?.["com.microsoft:locked-until-utc"]).toHaveLength(8);
  await delivered;
  connection.close();
  await once(connection, "connection_close");
});

describe("locks", () => {
  test("a lock that runs out is a failed delivery of each message, and its receiver is told", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("short").sendMessages(inSession("a", 1, 2));
    const receiver = await it.client.acceptSession("short", "a", noRenewal);
    const message = await one(receiver);
    await eventually(() => receiver.isClosed);
    await expect(receiver.completeMessage(message)).rejects.toThrow();
    const again = await it.client.acceptSession("short", "a", noRenewal);
    expect((await some(again, 2)).map(({ deliveryCount }) => deliveryCount)).toEqual([1, 0]);
  });

  test("a subscriber hears that its lock was lost", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("short").sendMessages(inSession("a", 1));
    const receiver = await it.client.acceptSession("short", "a", noRenewal);
    const codes: string[] = [];
    receiver.subscribe(
      {
        processMessage: () => new Promise((resolve) => setTimeout(resolve, 1_500)),
        async processError({ error }) {
          codes.push((error as { code?: string }).code ?? error.message);
        },
      },
      { autoCompleteMessages: false },
    );
    await eventually(() => codes.includes("SessionLockLost"));
  });

  test("a renewed lock holds the session and its messages", async () => {
    await using it = await openBroker(config);
    await it.client.createSender("short").sendMessages(inSession("a", 1));
    const receiver = await it.client.acceptSession("short", "a", noRenewal);
    const message = await one(receiver);
    const began = Date.now();
    while (Date.now() < began + 1_500) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const until = await receiver.renewSessionLock();
      expect(until.getTime()).toBeGreaterThan(Date.now() + 500);
    }
    await receiver.completeMessage(message);
    expect(it.broker.inspect("short")).toMatchObject({ active: 0, locked: 0, deadLettered: 0 });
  });

  test("a session whose messages have all expired is not given to who asks for the next", async () => {
    await using it = await openBroker(config, { timeoutInMs: 1_000 });
    await it.client.createSender("brief").sendMessages(inSession("old", 1, 2));
    await new Promise((resolve) => setTimeout(resolve, 250));
    await expect(it.client.acceptNextSession("brief", noRenewal)).rejects.toMatchObject({ code: "ServiceTimeout" });
    expect(it.broker.inspect("brief").active).toBe(0);
  });
});

describe("state", () => {
  test("a session's state is its own, outlives its receivers and a restart, and can be taken away", async () => {
    await using place = await scratchFolder();
    {
      await using it = await openBroker(config, { dataDir: place.dir });
      await it.client.createSender("work").sendMessages(inSession("a", 1, 2));
      const receiver = await it.client.acceptSession("work", "a", noRenewal);
      expect(await receiver.getSessionState()).toBe(null);
      await receiver.setSessionState({ step: 2 });
      await receiver.completeMessage(await one(receiver));
      const other = await it.client.acceptSession("work", "b", noRenewal);
      expect(await other.getSessionState()).toBe(null);
    }
    await using it = await openBroker(config, { dataDir: place.dir });
    const receiver = await it.client.acceptNextSession("work", noRenewal);
    expect(await receiver.getSessionState()).toEqual({ step: 2 });
    expect((await one(receiver)).body).toBe(2);
    await receiver.setSessionState(Buffer.alloc(0));
    await expect(receiver.setSessionState(Buffer.alloc(300_000))).rejects.toMatchObject({ code: "QuotaExceeded" });
  });
});

describe("looking", () => {
  test("a session receiver peeks at its session, any other at all of them", async () => {
    await using it = await openBroker(config);
    await it.client
      .createSender("work")
      .sendMessages([...inSession("a", 1), ...inSession("b", 2), ...inSession("a", 3)]);
    const receiver = await it.client.acceptSession("work", "a", noRenewal);
    const peeked = await receiver.peekMessages(10);
    expect(bodiesOf(peeked)).toEqual([1, 3]);
    // The SDK goes on from where any receiver of its queue has peeked last, unless it is told where to begin.
    const options = { fromSequenceNumber: peeked[0]!.sequenceNumber! };
    const everything = await it.client.createReceiver("work", noRenewal).peekMessages(10, options);
    expect(bodiesOf(everything)).toEqual([1, 2, 3]);
  });
});

describe("what is refused", () => {
  test("a message without a session, in a queue that requires one; nothing of its batch is stored", async () => {
    await using it = await openBroker(config);
    const sender = it.client.createSender("work");
    await expect(sender.sendMessages([{ body: 1, sessionId: "a" }, { body: 2 }])).rejects.toThrow(
      /SessionId was not set/,
    );
    await expect(sender.scheduleMessages({ body: 3 }, new Date(Date.now() + 60_000))).rejects.toThrow(/SessionId/);
    expect(it.broker.inspect("work")).toMatchObject({ active: 0, scheduled: 0 });
  });

  test("a receiver without a session where one is required, and one with a session where there are none", async () => {
    await using it = await openBroker(config);
    await expect(it.client.createReceiver("work", noRenewal).receiveMessages(1)).rejects.toThrow(/requires sessions/);
    await expect(it.client.acceptNextSession("plain", noRenewal)).rejects.toThrow(/has no sessions/);
  });
});

test("many sessions at once: each message comes once, in the order of its session", async () => {
  await using it = await openBroker(config);
  const sender = it.client.createSender("work");
  const [sessions, each] = [20, 50];
  for (let n = 0; n < each; n++) {
    await sender.sendMessages(Array.from({ length: sessions }, (_, s) => ({ body: n, sessionId: `s${s}` })));
  }
  const seen = new Map<string, unknown[]>();
  const workers = Array.from({ length: 4 }, async () => {
    for (let turn = 0; turn < sessions / 4; turn++) {
      const receiver = await it.client.acceptNextSession("work", noRenewal);
      const messages = await some(receiver, each);
      for (const message of messages) await receiver.completeMessage(message);
      seen.set(receiver.sessionId, bodiesOf(messages));
      await receiver.close();
    }
  });
  await Promise.all(workers);
  expect(seen.size).toBe(sessions);
  for (const bodies of seen.values()) expect(bodies).toEqual(Array.from({ length: each }, (_, n) => n));
  expect(it.broker.inspect("work")).toMatchObject({ active: 0, locked: 0 });
}, 30_000);
