import { statSync } from "node:fs";
import { Agent, request } from "node:https";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { certificate, client, openWorld, type World, type WorldOptions } from "./testing/world.ts";

/** Ends with the test. */
async function world(options: WorldOptions = {}): Promise<World> {
  const made = await openWorld(options);
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

const names = async (pages: AsyncIterable<{ name: string }>) => (await Array.fromAsync(pages)).map(({ name }) => name);

test("a secret is set, read by name and by version, and listed with its versions", async () => {
  const secrets = client(await world());
  const first = await secrets.setSecret("sas", "one", { contentType: "text/plain", tags: { owner: "us" } });
  const second = await secrets.setSecret("sas", "two");
  expect(await secrets.getSecret("SAS")).toMatchObject({
    value: "two",
    properties: { version: second.properties.version },
  });
  const { value, properties } = await secrets.getSecret("sas", { version: first.properties.version! });
  expect({ value, ...properties }).toMatchObject({ value: "one", contentType: "text/plain", tags: { owner: "us" } });
  const versions = await Array.fromAsync(secrets.listPropertiesOfSecretVersions("sas"));
  expect(versions.map(({ version }) => version)).toEqual([first.properties.version, second.properties.version]);
  expect(versions.every(({ createdOn, enabled }) => enabled && createdOn instanceof Date)).toBe(true);
  await expect(secrets.getSecret("none")).rejects.toMatchObject({ statusCode: 404, code: "SecretNotFound" });
  await expect(secrets.getSecret("sas", { version: "0".repeat(32) })).rejects.toMatchObject({ statusCode: 404 });
});

test("long lists come in pages", async () => {
  const secrets = client(await world());
  for (let n = 0; n < 60; n++) await secrets.setSecret("many", String(n));
  for (let n = 0; n < 30; n++) await secrets.setSecret(`s-${n}`, "x");
  expect(await Array.fromAsync(secrets.listPropertiesOfSecretVersions("many"))).toHaveLength(60);
  const pages = await Array.fromAsync(secrets.listPropertiesOfSecrets().byPage({ maxPageSize: 10 }));
  expect(pages.map((page) => page.length)).toEqual([10, 10, 10, 1]);
  expect(new Set(pages.flat().map(({ name }) => name)).size).toBe(31);
});

test("a version is disabled, enabled, and told when it holds", async () => {
  const secrets = client(await world());
  const { properties } = await secrets.setSecret("key", "v");
  const notBefore = new Date(1_700_000_000_000);
  const expiresOn = new Date(1_900_000_000_000);
  const updated = await secrets.updateSecretProperties("key", properties.version!, {
    enabled: false,
    notBefore,
    expiresOn,
  });
  expect(updated).toMatchObject({ enabled: false, notBefore, expiresOn });
  await expect(secrets.getSecret("key")).rejects.toMatchObject({ statusCode: 403 });
  await secrets.updateSecretProperties("key", properties.version!, { enabled: true });
  expect(await secrets.getSecret("key")).toMatchObject({ value: "v", properties: { notBefore, expiresOn } });
});

test("a deleted secret keeps its name until it is recovered or purged", async () => {
  const secrets = client(await world());
  await secrets.setSecret("old", "v");
  const deleted = await (await secrets.beginDeleteSecret("old", { intervalInMs: 10 })).pollUntilDone();
  expect(deleted.properties.recoveryId).toContain("/deletedsecrets/old");
  await expect(secrets.getSecret("old")).rejects.toMatchObject({ statusCode: 404 });
  await expect(secrets.setSecret("old", "again")).rejects.toMatchObject({ statusCode: 409 });
  expect(await names(secrets.listDeletedSecrets())).toEqual(["old"]);
  await (await secrets.beginRecoverDeletedSecret("old", { intervalInMs: 10 })).pollUntilDone();
  expect((await secrets.getSecret("old")).value).toBe("v");
  await (await secrets.beginDeleteSecret("old", { intervalInMs: 10 })).pollUntilDone();
  await secrets.purgeDeletedSecret("old");
  expect(await names(secrets.listDeletedSecrets())).toEqual([]);
  expect((await secrets.setSecret("old", "new")).value).toBe("new");
});

test("who has no role gets nothing, a user reads, an officer writes", async () => {
  const around = await world({ seeds: { webhook: "whsec_1" } });
  expect((await client(around, "the notifier's secret").getSecret("webhook")).value).toBe("whsec_1");
  const forbidden = { statusCode: 403, code: "Forbidden" };
  await expect(client(around, "the notifier's secret").setSecret("webhook", "x")).rejects.toMatchObject(forbidden);
  await expect(client(around, "a stranger's secret").getSecret("webhook")).rejects.toMatchObject(forbidden);
});

test("without a token there is a challenge; a token for another audience, and a forged one, are refused", async () => {
  const around = await world();
  const url = `${around.vault.url}/secrets/x?api-version=7.6`;
  const bare = await call(url, {});
  expect(bare.status).toBe(401);
  expect(bare.challenge).toBe(
    `Bearer authorization="${around.identity.issuer.slice(0, -1)}", resource="https://vault.azure.net"`,
  );
  expect((await call(url, { authorization: "Bearer a.b.c" })).status).toBe(401);
  const other = client(around, "the operator's secret", "https://servicebus.azure.net");
  await expect(other.getSecret("x")).rejects.toMatchObject({ statusCode: 401 });
});

test("a token that has expired is refused, and the SDK gets another", async () => {
  const around = await world({ token_s: 1 });
  const secrets = client(around);
  await secrets.setSecret("a", "1");
  const response = await fetch(
    `${around.identity.endpoint}?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net`,
    { headers: { "x-identity-header": "the operator's secret" } },
  );
  const { access_token } = (await response.json()) as { access_token: string };
  const url = `${around.vault.url}/secrets/a?api-version=7.6`;
  const status = async () => (await call(url, { authorization: `Bearer ${access_token}` })).status;
  await expect.poll(status, { timeout: 30_000, interval: 500 }).toBe(401); // one second, and five between clocks
  expect((await secrets.getSecret("a")).value).toBe("1");
});

test("secrets outlive the process, in a file of mode 0600; a seed is set once", async () => {
  const around = await world({ seeds: { seeded: "s" } });
  await client(around).setSecret("kept", "v");
  await around.stop();
  await around.start();
  const secrets = client(around);
  expect((await secrets.getSecret("kept")).value).toBe("v");
  expect(await Array.fromAsync(secrets.listPropertiesOfSecretVersions("seeded"))).toHaveLength(1);
  expect(statSync(path.join(around.directory, "secrets.json")).mode & 0o777).toBe(0o600);
});

test("what is no request of the secrets API is refused in its words", async () => {
  const around = await world();
  const secrets = client(around);
  await expect(secrets.setSecret("no dots.", "v")).rejects.toMatchObject({ statusCode: 400, code: "BadParameter" });
  await expect(secrets.setSecret("large", "x".repeat(26_000))).rejects.toMatchObject({ statusCode: 400 });
  await expect(secrets.setSecret("huge", "x".repeat(100_000))).rejects.toMatchObject({ statusCode: 413 });
  await expect(secrets.backupSecret("x")).rejects.toMatchObject({ statusCode: 404 });
});

function call(
  url: string,
  headers: Record<string, string>,
): Promise<{ status: number; challenge: string | undefined }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ ca: certificate });
    request(url, { headers, agent }, (response) => {
      response.resume().once("end", () => {
        agent.destroy();
        resolve({ status: response.statusCode!, challenge: response.headers["www-authenticate"] });
      });
    })
      .once("error", reject)
      .end();
  });
}
