import { readFile } from "node:fs/promises";
import { credential } from "./credential.ts";

/** Where a secret is kept. Never the secret itself. */
export type SecretSource =
  | { env: string }
  | { file: string }
  | { keyVault: { url: string; name: string; version?: string } };

/** How long a Key Vault secret is used before it is read again, so that a rotation arrives without a restart. */
const KEY_VAULT_TTL_MS = 5 * 60_000;
const cache = new Map<string, { value: string; read_at: number }>();

/**
 * Reads a secret. Key Vault is asked through the process's own identity; a pinned version is read once.
 * @throws Error that names the place, never the value
 */
export async function readSecret(source: SecretSource): Promise<string> {
  if ("env" in source) return required(process.env[source.env], `environment variable ${source.env}`);
  if ("file" in source) return required((await readFile(source.file, "utf8")).trim(), `file ${source.file}`);
  const { url, name, version } = source.keyVault;
  const place = `${url} ${name} ${version ?? "latest"}`;
  const known = cache.get(place);
  if (known && (version !== undefined || Date.now() - known.read_at < KEY_VAULT_TTL_MS)) return known.value;
  const { SecretClient } = await import("@azure/keyvault-secrets");
  const client = new SecretClient(url, credential());
  const secret = await client.getSecret(name, version === undefined ? {} : { version });
  const value = required(secret.value, `Key Vault secret ${name} at ${url}`);
  cache.set(place, { value, read_at: Date.now() });
  return value;
}

function required(value: string | undefined, place: string): string {
  if (value) return value;
  throw new Error(`there is no secret in ${place}: set it, or name another place`);
}
