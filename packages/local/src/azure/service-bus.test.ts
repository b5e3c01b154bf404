/*
 * A sender as the bridge is one: `@azure/service-bus` over TLS with a managed identity of `@azure/identity`, against the
 * local Service Bus, which checks its tokens by the keys of the identity route.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { openServiceBus } from "@millrace/azure";
import { makeCertificate, start } from "@millrace/servicebus";
import { expect, onTestFinished, test, vi } from "vitest";
import { startIdentity } from "./identity.ts";
import { principalOf } from "./principal.ts";

const config = { UserConfig: { Namespaces: [{ Topics: [{ Name: "news", Subscriptions: [{ Name: "all" }] }] }] } };
const message = (messageId: string) => ({ messageId, body: Buffer.from(messageId) });

test("a link is authorized by the identity's role, its token is renewed while it sends, and it outlives the identity route", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = mkdtempSync(path.join(tmpdir(), "identity-bus-"));
  stack.defer(() => rmSync(directory, { recursive: true }));
  const principal = principalOf("bridge", "the bridge's secret");
  const issued: number[] = [];
  const identity = await startIdentity({
    port: 0,
    principals: [principal],
    keysFile: path.join(directory, "keys.json"),
    token_s: 122, // the SDK renews two minutes ahead: every other second, here
    now: () => {
      issued.push(Date.now());
      return Date.now();
    },
  });
  const tls = makeCertificate(["localhost"], new Date());
  setDefaultCACertificates([...getCACertificates("default"), tls.cert]);
  const entra = {
    issuer: identity.issuer,
    jwksUri: identity.jwksUri,
    roleAssignments: [
      { principalId: principal.principalId, role: "Azure Service Bus Data Sender" as const, scope: "news" },
    ],
  };
  const broker = stack.use(await start({ port: 0, host: "127.0.0.1", config, tls, entra }));
  for (const [name, value] of Object.entries({
    IDENTITY_ENDPOINT: identity.endpoint,
    IDENTITY_HEADER: "the bridge's secret",
    AZURE_TOKEN_CREDENTIALS: "ManagedIdentityCredential",
  }))
    vi.stubEnv(name, value);
  onTestFinished(() => void vi.unstubAllEnvs());

  const serviceBus = stack.use(await openServiceBus({ fullyQualifiedNamespace: `localhost:${broker.port}` }));
  const sender = stack.use(serviceBus.sender("news"));
  expect(await sender.sendAll([message("first")])).toEqual([{ ok: true }]);
  const before = issued.length;
  let sent = 1;
  await vi.waitFor(
    async () => {
      expect(await sender.sendAll([message(`m-${sent++}`)])).toEqual([{ ok: true }]);
      expect(issued.length).toBeGreaterThan(before);
    },
    { timeout: 60_000, interval: 100 },
  );
  await identity[Symbol.asyncDispose]();
  for (let n = 0; n < 20; n++) expect(await sender.sendAll([message(`m-${sent++}`)])).toEqual([{ ok: true }]);
  expect(broker.inspect("news/Subscriptions/all").active).toBe(sent);
});
