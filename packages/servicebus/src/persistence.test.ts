import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ServiceBusClient } from "@azure/service-bus";
import { expect, test } from "vitest";
import { type BrokerConfig, start } from "./index.ts";

const config: BrokerConfig = {
  UserConfig: {
    Namespaces: [
      {
        Queues: [
          { Name: "work", Properties: { RequiresDuplicateDetection: true, LockDuration: "PT1M" } },
          // A receiver that loses its link leaves its locks to expire, as in Azure: the test must not wait long for them.
          { Name: "kill", Properties: { RequiresDuplicateDetection: true, LockDuration: "PT3S" } },
        ],
        Topics: [{ Name: "news", Subscriptions: [{ Name: "a" }, { Name: "b" }] }],
      },
    ],
  },
};
const key = "a key for this test only";
const noRenewal = { maxAutoLockRenewalDurationInMs: 0 } as const;
const main = path.join(import.meta.dirname, "main.ts");

async function scratch() {
  const dir = await mkdtemp(path.join(tmpdir(), "servicebus-"));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

async function spawnBroker(dir: string, port: number): Promise<ChildProcess> {
  const configFile = path.join(dir, "config.json");
  await writeFile(configFile, JSON.stringify(config));
  const args = [main, "--config", configFile, "--port", String(port), "--data-dir", path.join(dir, "data")];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, SHARED_ACCESS_KEY: key },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(createInterface(child.stdout!), "line");
  expect(JSON.parse(line)).toMatchObject({ event: "listening", port });
  return child;
}

const connect = (connectionString: string) =>
  new ServiceBusClient(connectionString, {
    retryOptions: { maxRetries: 150, retryDelayInMs: 100, maxRetryDelayInMs: 200, timeoutInMs: 2_000 },
  });

test("a restart keeps messages, dead letters, deferrals, numbers and the duplicate history; a lock does not survive", async () => {
  await using place = await scratch();
  const options = { port: 0, host: "127.0.0.1", config, dataDir: path.join(place.dir, "data"), sharedAccessKey: key };
  let deferredAt: import("@azure/service-bus").ServiceBusReceivedMessage["sequenceNumber"];
  {
    await using broker = await start(options);
    const client = connect(broker.connectionString);
    await client.createSender("news").sendMessages({ body: "both", messageId: "n" });
    await client
      .createSender("work")
      .sendMessages(["done", "dead", "deferred", "locked", "waiting"].map((body) => ({ body, messageId: body })));
    const receiver = client.createReceiver("work", noRenewal);
    for (let n = 0; n < 4; n++) {
      const [message] = await receiver.receiveMessages(1);
      if (message!.body === "done") await receiver.completeMessage(message!);
      if (message!.body === "dead")
        await receiver.deadLetterMessage(message!, { deadLetterReason: "why not", deadLetterErrorDescription: "" });
      if (message!.body === "deferred") {
        deferredAt = message!.sequenceNumber;
        await receiver.deferMessage(message!, { note: "kept" });
      }
    }
    expect(broker.inspect("work")).toMatchObject({ active: 2, locked: 1, deferred: 1, deadLettered: 1 });
    await client.close();
  }
  await using broker = await start(options);
  expect(broker.inspect("work")).toMatchObject({ active: 2, locked: 0, deferred: 1, deadLettered: 1, enqueued: 5 });
  expect(broker.inspect("news/Subscriptions/a").active).toBe(1);
  expect(broker.inspect("news/Subscriptions/b").active).toBe(1);
  const client = connect(broker.connectionString);
  await client.createSender("work").sendMessages([
    { body: "done", messageId: "done" },
    { body: "new", messageId: "new" },
  ]);
  const receiver = client.createReceiver("work", noRenewal);
  const bodies: unknown[] = [];
  while (bodies.length < 3) {
    for (const message of await receiver.receiveMessages(10)) {
      bodies.push(message.body);
      if (message.body === "new") expect(message.sequenceNumber!.toNumber()).toBe(6);
      await receiver.completeMessage(message);
    }
  }
  expect(bodies).toEqual(["locked", "waiting", "new"]);
  const [deferred] = await receiver.receiveDeferredMessages(deferredAt!);
  expect(deferred).toMatchObject({ body: "deferred", applicationProperties: { note: "kept" } });
  const [dead] = await client.createReceiver("work", { ...noRenewal, subQueueType: "deadLetter" }).receiveMessages(1);
  expect(dead).toMatchObject({ body: "dead", deadLetterReason: "why not" });
  await client.close();
});

test("a second broker on the same folder is refused", async () => {
  await using place = await scratch();
  const options = { port: 0, host: "127.0.0.1", config, dataDir: place.dir };
  await using _first = await start(options);
  await expect(start(options)).rejects.toThrow(/another broker/);
});

test("a taken port is named", async () => {
  await using broker = await start({ port: 0, host: "127.0.0.1", config });
  await expect(start({ port: broker.port, host: "127.0.0.1", config })).rejects.toThrow(`Port ${broker.port}`);
});

test("SIGKILL under load loses no accepted message and doubles none", async () => {
  await using place = await scratch();
  const port = await freePort();
  let child = await spawnBroker(place.dir, port);
  const connectionString = `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${key};UseDevelopmentEmulator=true;`;
  const client = connect(connectionString);
  const total = 4_000;
  const received = new Set<string>();
  // Told to be complete. A completion that a kill left unanswered may have happened or not: either is right.
  const completed = new Set<string>();
  const cameBack: string[] = [];
  const receiver = client.createReceiver("kill", noRenewal);
  const subscription = receiver.subscribe(
    {
      async processMessage(message) {
        const id = String(message.messageId);
        received.add(id);
        if (completed.has(id)) cameBack.push(id);
        await receiver.completeMessage(message);
        completed.add(id);
      },
      async processError() {}, // broken connections are the point
    },
    { autoCompleteMessages: false, maxConcurrentCalls: 50 },
  );
  const accepted: string[] = [];
  const sending = (async () => {
    const sender = client.createSender("kill");
    for (let at = 0; at < total; at += 50) {
      const batch = Array.from({ length: 50 }, (_, n) => ({ body: at + n, messageId: String(at + n) }));
      await sender.sendMessages(batch);
      accepted.push(...batch.map(({ messageId }) => messageId));
      await sleep(5);
    }
  })();
  for (let kill = 0; kill < 3; kill++) {
    const until = Date.now() + 10_000;
    while (accepted.length < (total / 4) * (kill + 1) && Date.now() < until) await sleep(5);
    child.kill("SIGKILL");
    await once(child, "exit");
    child = await spawnBroker(place.dir, port);
  }
  await sending;
  const deadline = Date.now() + 60_000;
  while (received.size < total && Date.now() < deadline) await sleep(20);
  await subscription.close();
  await client.close();
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);

  expect(accepted).toHaveLength(total);
  expect(received.size).toBe(total);
  expect(cameBack).toEqual([]);
  // Whatever was sent again after a kill was recognised: the broker has stored each message once.
  await using broker = await start({ port: 0, host: "127.0.0.1", config, dataDir: path.join(place.dir, "data") });
  expect(broker.inspect("kill")).toMatchObject({ deadLettered: 0, enqueued: total });
}, 180_000);
