/*
 * The secrets of packages/azure against a Key Vault: the real `@azure/identity` and `@azure/keyvault-secrets`, as a service
 * uses them, with the identity of the notifier.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { openServiceBus } from "@millrace/azure";
import { keyVaultSecret, openSecret, type SecretOptions } from "@millrace/azure/secrets";
import { start } from "@millrace/servicebus";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { certificate, client, key, openWorld, type World } from "./testing/world.ts";

let around: World;
beforeAll(async () => {
  around = await openWorld();
  setDefaultCACertificates([...getCACertificates("default"), certificate]); // what NODE_EXTRA_CA_CERTS does at a start
  vi.stubEnv("IDENTITY_ENDPOINT", around.identity.endpoint);
  vi.stubEnv("IDENTITY_HEADER", "the notifier's secret");
  vi.stubEnv("AZURE_KEYVAULT_LOCAL", "true");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await around[Symbol.asyncDispose]();
});

const officer = () => client(around);

function open(name: string, options: SecretOptions = {}) {
  const troubles: (string | undefined)[] = [];
  const onTrouble = (why: string | undefined) => void troubles.push(why);
  const source = keyVaultSecret(`${around.vault.url}/secrets/${name}`, "TEST");
  const secret = openSecret(source, { again_ms: 0, onTrouble, ...options });
  onTestFinished(() => secret[Symbol.dispose]());
  return { secret, troubles };
}

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000);
/** Key Vault dates versions by the second: those of one second have no order. */
const aSecondLater = () => new Promise((resolve) => setTimeout(resolve, 1_100));

test("during a rotation both versions hold, the newer one first, and the old one goes when it is disabled", async () => {
  const first = await officer().setSecret("rotated", "one");
  const { secret } = open("rotated");
  expect(await secret.values()).toEqual(["one"]);
  await aSecondLater();
  await officer().setSecret("rotated", "two");
  expect(await secret.refused()).toBe(true);
  expect(await secret.values()).toEqual(["two", "one"]);
  await officer().updateSecretProperties("rotated", first.properties.version!, { enabled: false });
  expect(await secret.refused()).toBe(false);
  expect(await secret.values()).toEqual(["two"]);
});

test("a version that is published ahead of its time, and one whose time is over, are not used", async () => {
  await officer().setSecret("timed", "over", { expiresOn: inSeconds(-60) });
  await officer().setSecret("timed", "now", { expiresOn: inSeconds(600) });
  await officer().setSecret("timed", "soon", { notBefore: inSeconds(300) });
  const { secret } = open("timed");
  expect(await secret.values()).toEqual(["now"]);
  const { secret: later } = open("timed", { now: () => Date.now() + 400_000 });
  expect(await later.values()).toEqual(["soon", "now"]);
});

test("a version that is named is the one that is used, whatever comes after", async () => {
  const { properties } = await officer().setSecret("pinned", "one");
  await officer().setSecret("pinned", "two");
  const { secret } = open(`pinned/${properties.version}`);
  expect(await secret.values()).toEqual(["one"]);
  expect(await secret.refused()).toBe(false);
});

test("the last value outlives an outage of Key Vault, which is told once, without a token or a value", async () => {
  await officer().setSecret("outage", "hunter2");
  const { secret, troubles } = open("outage");
  await secret.values();
  await around.stop();
  expect(await secret.refused()).toBe(false);
  expect(await secret.refused()).toBe(false);
  expect(await secret.values()).toEqual(["hunter2"]);
  expect(troubles).toEqual([expect.stringContaining("ECONNREFUSED")]);
  await around.start();
  await secret.refused();
  expect(troubles.slice(1)).toEqual([undefined]);
});

test("what is not there or not allowed is said with what to do, and no secret is in it, nor in what hangs on it", async () => {
  await officer().setSecret("gone", "hunter2");
  await (await officer().beginDeleteSecret("gone", { intervalInMs: 10 })).pollUntilDone();
  const { secret, troubles } = open("gone");
  const error: unknown = await secret.values().catch((cause: unknown) => cause);
  expect(error).toMatchObject({
    message: expect.stringMatching(/secret gone at https:\/\/localhost.*there is no such secret; set it/),
  });
  const all = JSON.stringify([error, (error as Error).stack, Object.entries(error as object), troubles]);
  expect(all).not.toMatch(/hunter2|eyJ|Bearer|the notifier's secret/);
});

test("a namespace's key is changed, and its connection string in Key Vault with it: what is sent arrives", async () => {
  const config = { UserConfig: { Namespaces: [{ Queues: [{ Name: "work" }] }] } };
  const dataDir = mkdtempSync(path.join(tmpdir(), "millrace-rotation-"));
  const namespace = (sharedAccessKey: string, port = 0) =>
    start({ port, host: "127.0.0.1", config, dataDir, tls: { key, cert: certificate }, sharedAccessKey });
  let broker = await namespace("first");
  onTestFinished(async () => {
    await broker.close();
    rmSync(dataDir, { recursive: true });
  });
  const { port } = broker;
  const store = (sharedAccessKey: string) =>
    officer().setSecret(
      "bus",
      `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${sharedAccessKey}`,
    );
  await store("first");
  const { secret, troubles } = open("bus", { again_ms: 100 });
  await using serviceBus = await openServiceBus({ rotated: secret });
  await using sender = serviceBus.sender("work");
  let sent = 0;
  /** The first send after a connection was lost may say so; callers send again. */
  const send = () =>
    vi.waitFor(
      async () => {
        const message = { messageId: String(sent), body: Buffer.from("x") };
        expect(await sender.sendAll([message])).toEqual([{ ok: true }]);
        sent++;
      },
      { timeout: 60_000, interval: 100 },
    );
  await send();
  await aSecondLater();
  await store("second");
  await send(); // the second key is stored, and not valid yet
  await broker.close();
  broker = await namespace("second", port);
  await send();
  expect(broker.inspect("work").active).toBe(3);
  expect(troubles).toEqual([]);
});
