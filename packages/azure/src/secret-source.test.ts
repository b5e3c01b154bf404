import { expect, it } from "vitest";
import { placeOf, secretSource } from "./secret-source.ts";

const version = "0".repeat(32);

it.each([
  ["Endpoint=sb://x;SharedAccessKey=k", { value: "Endpoint=sb://x;SharedAccessKey=k", name: "S" }],
  ["file:/run/secrets/sas", { file: "/run/secrets/sas" }],
  [
    "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/sas)",
    { keyVault: { url: "https://contoso.vault.azure.net", name: "sas" } },
  ],
  [
    `@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/sas/${version})`,
    { keyVault: { url: "https://contoso.vault.azure.net", name: "sas", version } },
  ],
  [
    "@Microsoft.KeyVault(VaultName=contoso;SecretName=sas)",
    { keyVault: { url: "https://contoso.vault.azure.net", name: "sas" } },
  ],
])("%s", (text, source) => expect(secretSource(text, "S")).toEqual(source));

it.each([
  "@Microsoft.KeyVault(SecretUri=http://contoso.vault.azure.net/secrets/sas)",
  "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/keys/sas)",
  "@Microsoft.KeyVault(VaultName=contoso)",
  "@Microsoft.KeyVault(hunter2)",
])("%s is refused, by the name of the setting alone", (text) => {
  expect(() => secretSource(text, "THE_SETTING")).toThrow(/^THE_SETTING: a Key Vault/);
  expect(() => secretSource(text, "THE_SETTING")).not.toThrow(/hunter2|contoso/);
});

it("a place is named without the secret", () => {
  expect(placeOf({ value: "hunter2", name: "S" })).toBe("setting S");
  expect(placeOf({ keyVault: { url: "https://v", name: "n" } })).toBe("Key Vault secret n at https://v");
});
