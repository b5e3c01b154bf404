import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { SecretClient } from "@azure/keyvault-secrets";
import { makeCertificate } from "@millrace/servicebus";
import { type Identity, startIdentity } from "../identity.ts";
import { principalOf } from "../principal.ts";
import { startVault, type Vault } from "../vault.ts";

const officer = principalOf("operator", "the operator's secret");
const user = principalOf("notifier", "the notifier's secret");
const stranger = principalOf("ingest", "a stranger's secret");
/** One for all: what trusts it trusts every world. */
export const { key, cert: certificate } = makeCertificate(["localhost"], new Date());

export type WorldOptions = { token_s?: number; seeds?: Record<string, string> };

export type World = AsyncDisposable & {
  readonly identity: Identity;
  readonly vault: Vault;
  readonly directory: string;
  /** The vault is away, and comes back on the same port with the same secrets. */
  stop(): Promise<void>;
  start(): Promise<void>;
};

/** An identity route and a vault, with an officer, a user and somebody without a role. */
export async function openWorld({ seeds = {}, ...rest }: WorldOptions = {}): Promise<World> {
  const directory = mkdtempSync(path.join(tmpdir(), "millrace-vault-"));
  const keysFile = path.join(directory, "keys.json");
  const identity = await startIdentity({ port: 0, principals: [officer, user, stranger], keysFile, ...rest });
  const open = (port: number) =>
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
  let vault = await open(0);
  return {
    identity,
    directory,
    get vault() {
      return vault;
    },
    async stop() {
      await vault[Symbol.asyncDispose]();
    },
    async start() {
      vault = await open(vault.port);
    },
    async [Symbol.asyncDispose]() {
      await vault[Symbol.asyncDispose]();
      await identity[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

/** The SDK as it is, but for what localhost needs: trust in our certificate, and no check of a domain it has not. */
export function client({ identity, vault }: World, header = "the operator's secret", resource?: string): SecretClient {
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
