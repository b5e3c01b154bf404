import type { SecretClient, SecretProperties } from "@azure/keyvault-secrets";
import { credential } from "./credential.ts";
import { isLocalHost } from "./local-host.ts";
import type { ReadSecret } from "./secret.ts";

export type KeyVaultPlace = { url: string; name: string; version?: string };

const TIMEOUT_MS = 15_000;
/** A secret has that many versions only when something went wrong; those of use are found long before. */
const VERSIONS_MAX = 1_000;
/** The one in use, and the one before it. */
const IN_USE = 2;

/**
 * Reads a secret with the process's own identity: the versions that are enabled and in their time, the newest first,
 * two at most. A version that is published ahead of its time (`notBefore`) waits for it. Values never change, so each is
 * asked for once.
 */
export function keyVaultReader(
  { url, name, version }: KeyVaultPlace,
  env: NodeJS.ProcessEnv = process.env,
): ReadSecret {
  let opening: Promise<SecretClient> | undefined;
  const known = new Map<string, string>();
  const value = async (client: SecretClient, wanted: string): Promise<string> => {
    const had = known.get(wanted);
    if (had !== undefined) return had;
    const secret = await client.getSecret(name, { version: wanted, ...bound() });
    return secret.value ?? "";
  };
  return async (now_ms) => {
    opening ??= openClient(url, env);
    const client = await opening;
    try {
      const wanted = version === undefined ? inUse(await versionsOf(client, name), now_ms) : [version];
      const values = await Promise.all(wanted.map(async (one) => [one, await value(client, one)] as const));
      known.clear(); // what is not in use any more is not kept
      for (const [one, its] of values) known.set(one, its);
      return values.map(([, its]) => its);
    } catch (cause) {
      throw new Error(reasonOf(cause)); // without its cause, which carries the request and with it a token
    }
  };
}

async function openClient(url: string, env: NodeJS.ProcessEnv): Promise<SecretClient> {
  const { SecretClient } = await import("@azure/keyvault-secrets");
  return new SecretClient(url, credential(), {
    retryOptions: { maxRetries: 2, retryDelayInMs: 300, maxRetryDelayInMs: 2_000 },
    // A name without a domain is none that the challenge could name: a local vault must be asked for by name and address.
    disableChallengeResourceVerification: env.AZURE_KEYVAULT_LOCAL === "true" && isLocalHost(new URL(url).hostname),
  });
}

const bound = () => ({ abortSignal: AbortSignal.timeout(TIMEOUT_MS) });

async function versionsOf(client: SecretClient, name: string): Promise<SecretProperties[]> {
  const found: SecretProperties[] = [];
  for await (const version of client.listPropertiesOfSecretVersions(name, bound())) {
    found.push(version);
    if (found.length >= VERSIONS_MAX) break;
  }
  return found;
}

/** Key Vault lists in no order; two versions of one second are taken in the order of the list. */
function inUse(versions: readonly SecretProperties[], now_ms: number): string[] {
  const holds = versions.filter(
    ({ enabled, notBefore, expiresOn }) =>
      enabled !== false &&
      (notBefore === undefined || notBefore.getTime() <= now_ms) &&
      (expiresOn === undefined || expiresOn.getTime() > now_ms),
  );
  const created = ({ createdOn }: SecretProperties) => createdOn?.getTime() ?? 0;
  return holds
    .map((version, position) => ({ version, position }))
    .sort((a, b) => created(b.version) - created(a.version) || b.position - a.position)
    .slice(0, IN_USE)
    .map(({ version }) => version.version!);
}

/** One line: what to do about the two usual reasons, or what Key Vault or the identity said. */
function reasonOf(cause: unknown): string {
  const {
    statusCode,
    code,
    name,
    message = "",
  } = cause as Partial<Record<"code" | "name" | "message", string>> & {
    statusCode?: number;
  };
  if (statusCode === 404) return "there is no such secret; set it, or name another one";
  if (statusCode === 403)
    return "Key Vault does not let this identity read it; it needs the role Key Vault Secrets User";
  const said = message.split("\n")[0]!.slice(0, 300);
  return [code ?? name, said].filter(Boolean).join(": ");
}
