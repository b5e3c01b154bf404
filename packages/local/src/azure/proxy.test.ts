import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { connectProxy } from "@millrace/azure/testing";
import { expect, test } from "vitest";
import { certificate, openWorld } from "./testing/world.ts";

test("Key Vault is reached through the proxy of the environment, the identity route beside it", async () => {
  await using around = await openWorld({ seeds: { webhook: "whsec_1" } });
  using proxy = await connectProxy();
  const trust = path.join(around.directory, "trust.pem");
  writeFileSync(trust, certificate);
  const script = path.join(import.meta.dirname, "testing/read-secret.ts");
  const env = {
    PATH: process.env.PATH ?? "",
    IDENTITY_ENDPOINT: around.identity.endpoint,
    IDENTITY_HEADER: "the notifier's secret",
    AZURE_KEYVAULT_LOCAL: "true",
    NODE_EXTRA_CA_CERTS: trust,
    HTTPS_PROXY: proxy.url,
    HTTP_PROXY: proxy.url,
    NO_PROXY: "127.0.0.1",
  };
  const args = [script, `${around.vault.url}/secrets/webhook`];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 60_000 });
  expect(JSON.parse(stdout)).toEqual(["whsec_1"]);
  expect(new Set(proxy.asked)).toEqual(new Set([new URL(around.vault.url).host]));
});
