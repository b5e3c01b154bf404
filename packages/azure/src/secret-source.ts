import { keyVaultUrl } from "./cloud.ts";

/** Where a secret is kept. `value` is a setting that holds it itself. */
export type SecretSource =
  | { value: string; name: string }
  | { env: string }
  | { file: string }
  | { keyVault: { url: string; name: string; version?: string } };

/**
 * What a setting says: the secret itself, `file:PATH`, or a Key Vault reference in the form of App Service,
 * `@Microsoft.KeyVault(SecretUri=https://…/secrets/NAME[/VERSION])` or
 * `@Microsoft.KeyVault(VaultName=…;SecretName=…[;SecretVersion=…])`.
 * https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#source-app-settings-from-key-vault
 * @param name of the setting, for messages
 * @throws Error when it looks like a reference and is none; the text is not in the message, it may be a secret
 */
export function secretSource(text: string, name: string): SecretSource {
  if (text.startsWith("file:")) return { file: text.slice("file:".length) };
  const reference = /^@Microsoft\.KeyVault\((.*)\)$/i.exec(text.trim())?.[1];
  if (reference === undefined) return { value: text, name };
  const parts = new Map(
    reference.split(";").map((part) => {
      const [key = "", ...value] = part.split("=");
      return [key.trim().toLowerCase(), value.join("=").trim()];
    }),
  );
  const uri = parts.get("secreturi");
  if (uri !== undefined) return keyVaultSecret(uri, name);
  const [vault, secret, version] = ["vaultname", "secretname", "secretversion"].map((key) => parts.get(key));
  if (vault && secret) return { keyVault: { url: keyVaultUrl(vault), name: secret, ...(version ? { version } : {}) } };
  throw new Error(`${name}: a Key Vault reference has SecretUri, or VaultName and SecretName`);
}

/**
 * A secret's identifier: `https://VAULT/secrets/NAME[/VERSION]`.
 * @throws Error when it is none
 */
export function keyVaultSecret(identifier: string, name: string): SecretSource {
  const url = URL.parse(identifier);
  const [, collection, secret, version, ...rest] = url?.pathname.replace(/\/$/, "").split("/") ?? [];
  if (url?.protocol !== "https:" || url.username || collection !== "secrets" || !secret || rest.length > 0)
    throw new Error(`${name}: a Key Vault secret is named https://VAULT/secrets/NAME, or …/NAME/VERSION`);
  return { keyVault: { url: url.origin, name: secret, ...(version ? { version } : {}) } };
}

/** The place, in words that may be logged. */
export function placeOf(source: SecretSource): string {
  if ("value" in source) return `setting ${source.name}`;
  if ("env" in source) return `environment variable ${source.env}`;
  if ("file" in source) return `file ${source.file}`;
  const { url, name, version } = source.keyVault;
  return `Key Vault secret ${name}${version === undefined ? "" : ` (version ${version})`} at ${url}`;
}
