import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { type Broker, makeCertificate, start } from "@millrace/servicebus";
import { beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { openSecret } from "./secret.ts";
import type { OutgoingMessage, Sender, SendResult } from "./sender.ts";
import { openServiceBus } from "./service-bus.ts";

const config = { UserConfig: { Namespaces: [{ Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }] }] } };
const tls = makeCertificate(["localhost", "127.0.0.1"], new Date());
beforeAll(() => setDefaultCACertificates([...getCACertificates("default"), tls.cert]));

/** A namespace whose key is changed, as somebody changes it in Azure: every connection ends, and the old key is none. */
async function namespace(first: string) {
  const dataDir = mkdtempSync(path.join(tmpdir(), "namespace-"));
  const open = (sharedAccessKey: string, port: number) =>
    start({ port, host: "127.0.0.1", config, dataDir, tls, sharedAccessKey });
  let broker: Broker = await open(first, 0);
  onTestFinished(async () => {
    await broker.close();
    rmSync(dataDir, { recursive: true });
  });
  const { port } = broker;
  return {
    connectionString: (key: string) =>
      `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${key}`,
    async rotate(key: string) {
      await broker.close();
      broker = await open(key, port);
    },
    count: () => broker.inspect("news/Subscriptions/all").active,
  };
}

function place(text: string) {
  const directory = mkdtempSync(path.join(tmpdir(), "sas-"));
  const file = path.join(directory, "connection-string");
  const put = (contents: string) => writeFileSync(file, contents, { mode: 0o600 });
  put(text);
  const troubles: (string | undefined)[] = [];
  const onTrouble = (why: string | undefined) => void troubles.push(why);
  const secret = openSecret({ file }, { every_ms: 3_600_000, again_ms: 100, onTrouble });
  onTestFinished(() => {
    secret[Symbol.dispose]();
    rmSync(directory, { recursive: true });
  });
  return { secret, put, troubles };
}

/** The first send after a connection was lost may say so; callers send again. */
async function sendAll(sender: Sender, sent: OutgoingMessage[]): Promise<SendResult[]> {
  for (let tries = 1; ; tries++) {
    const results = await sender.sendAll(sent);
    if (tries === 10 || !results.some((result) => !result.ok && /transient|timeout/.test(result.kind))) return results;
  }
}

const messages = (...ids: string[]) => ids.map((messageId) => ({ messageId, body: Buffer.from(messageId) }));

it("a key that was changed is read again when it is refused, and what was refused is sent with the new one", async () => {
  const bus = await namespace("the first key");
  const { secret, put } = place(bus.connectionString("the first key"));
  await using serviceBus = await openServiceBus({ rotated: secret });
  await using sender = serviceBus.sender("news");
  expect(await sender.sendAll(messages("a"))).toEqual([{ ok: true }]);
  put(bus.connectionString("the second key"));
  await bus.rotate("the second key");
  expect(await sendAll(sender, messages("b", "c"))).toEqual([{ ok: true }, { ok: true }]);
  expect(bus.count()).toBe(3);
});

it("a key that is stored before it is valid does no harm: the one before it is used as long as it works", async () => {
  const bus = await namespace("the first key");
  const lines = ["the second key", "the first key"].map(bus.connectionString).join("\n");
  const { secret } = place(lines);
  await using serviceBus = await openServiceBus({ rotated: secret });
  await using sender = serviceBus.sender("news");
  expect(await sender.sendAll(messages("a"))).toEqual([{ ok: true }]);
  await bus.rotate("the second key");
  expect(await sendAll(sender, messages("b"))).toEqual([{ ok: true }]);
  expect(bus.count()).toBe(2);
});

it("while the stored key is refused it says so as a value, without the key, and works when another one is stored", async () => {
  const bus = await namespace("the first key");
  const { secret, put } = place(bus.connectionString("hunter2"));
  await using serviceBus = await openServiceBus({ rotated: secret });
  await using sender = serviceBus.sender("news");
  const results = await sender.sendAll(messages("a"));
  expect(results).toMatchObject([{ ok: false, kind: "unauthorized" }]);
  expect(JSON.stringify(results)).not.toMatch(/hunter2|sig=/);
  put(bus.connectionString("the first key"));
  expect(await sender.sendAll(messages("a"))).toEqual([{ ok: true }]);
});

it("a receiver whose key is refused goes on when another one is stored", async () => {
  const bus = await namespace("the first key");
  const { secret, put } = place(bus.connectionString("the first key"));
  await using serviceBus = await openServiceBus({ rotated: secret });
  await using sender = serviceBus.sender("news");
  const received: string[] = [];
  const states: (string | undefined)[] = [];
  await using _receiver = serviceBus.receive(
    { topic: "news", subscription: "all" },
    {
      concurrency: 1,
      async onMessage(message) {
        received.push(String(message.message.messageId));
        await message.complete();
      },
      onState: (trouble) => void states.push(trouble?.kind),
    },
  );
  await sendAll(sender, messages("a"));
  await vi.waitFor(() => expect(received).toEqual(["a"]), { timeout: 30_000 });
  await bus.rotate("the second key");
  await vi.waitFor(() => expect(states).toContain("unauthorized"), { timeout: 60_000 });
  put(bus.connectionString("the second key"));
  expect(await sendAll(sender, messages("b"))).toEqual([{ ok: true }]);
  await vi.waitFor(() => expect(received).toEqual(["a", "b"]), { timeout: 60_000 });
});

it("another namespace is not followed, and what is no connection string is not shown", async () => {
  const bus = await namespace("the first key");
  const { secret, put, troubles } = place(bus.connectionString("the first key"));
  await using serviceBus = await openServiceBus({ rotated: secret });
  put(bus.connectionString("the first key").replace("localhost", "elsewhere"));
  expect(await secret.refused()).toBe(true);
  expect(troubles).toEqual([expect.stringContaining("another namespace")]);
  expect(await serviceBus.sender("news").sendAll(messages("a"))).toEqual([{ ok: true }]);

  const { secret: wrong } = place("Endpoint=sb://x/;SharedAccessKeyName=hunter2");
  await expect(openServiceBus({ rotated: wrong })).rejects.toThrow(/connection-string holds no connection string with/);
  await expect(openServiceBus({ rotated: wrong })).rejects.not.toThrow(/hunter2/);
});
