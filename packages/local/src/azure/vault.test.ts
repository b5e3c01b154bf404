import { mkdtempSync, rmSync, statSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { SecretClient } from "@azure/keyvault-secrets";
import { makeCertificate } from "@millrace/servicebus";
import { expect, onTestFinished, test } from "vitest";
import { type Identity, startIdentity } from "./identity.ts";
import { principalOf } from "./principal.ts";
import { startVault, type Vault } from "./vault.ts";

const officer = principalOf("operator", "the operator's secret");
const user = principalOf("notifier", "the notifier's secret");
const stranger = principalOf("ingest", "a stranger's secret");
const { key, cert: certificate } = makeCertificate(["localhost"], new Date());

type World = { identity: Identity; vault: Vault; directory: string; restart: () => Promise<void> };

async function world(options: { token_s?: number; seeds?: Record<string, string> } = {}): Promise<World> {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-vault-"));
  const { seeds = {}, ...rest } = options;
  const keysFile = path.join(directory, "keys.json");
  const identity = await startIdentity({ port: 0, principals: [officer, user, stranger], keysFile, ...rest });
  const start = (port = 0) =>
    startVault({
      port,
      key,
      certificate,
      issuer: identity.issuer,
      jwksUri: identity.jwksUri,
      secretsFile: path.join(directory, "secrets.json"),
      seeds,
      roleAssignments: [
        { principalId: officer.principalId, role: "Key Vault Secrets Officer" },
        { principalId: user.principalId, role: "Key Vault Secrets User" },
      ],
    });
  const made: World = {
    identity,
    vault: await start(),
    directory,
    async restart() {
      const { port } = made.vault;
      await made.vault[Symbol.asyncDispose]();
      made.vault = await start(port);
    },
  };
  onTestFinished(async () => {
    await made.vault[Symbol.asyncDispose]();
    await identity[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });
  return made;
}

/** The SDK as it is, but for what localhost needs: trust in our certificate, and no check of a domain it has not. */
function client({ identity, vault }: World, header = "the operator's secret", resource?: string): SecretClient {
  const credential = {
    async getToken(scope: string | string[]) {
      const asked = resource ?? [scope].flat()[0]!.replace(/\/\.default$/, "");
      const url = `${identity.endpoint}?api-version=2019-08-01&resource=${encodeURIComponent(asked)}`;
      const response = await fetch(url, { headers: { "x-identity-header": header } });
      const { access_token, expires_on } = (await response.json()) as { access_token: string; expires_on: string };
      return { token: access_token, expiresOnTimestamp: Number(expires_on) * 1_000 };
    },
  };
  return new SecretClient(vault.url, credential, {
    disableChallengeResourceVerification: true,
    tlsOptions: { ca: certificate },
    retryOptions: { maxRetries: 0 },
  });
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
  await around.restart();
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
