import { readFileSync } from "node:fs";
import type { IdentityOptions } from "./identity.ts";
import type { VaultOptions } from "./vault.ts";

/**
 * What the process of the local Azure is told, in a file that only its owner reads. The vault takes tokens of the
 * identity route beside it.
 */
export type AzureConfig = {
  identity: Omit<IdentityOptions, "now">;
  vault?: Pick<VaultOptions, "port" | "host" | "name" | "secretsFile" | "seeds" | "roleAssignments"> & {
    keyFile: string;
    certificateFile: string;
  };
};

/** @throws when there is no such file, or it is no JSON; the message says what to do */
export function readAzureConfig(file: string | undefined): AzureConfig {
  if (!file) throw new Error('AZURE_FILE is not set: name a file with {"identity": {…}, "vault": {…}}, see the README');
  try {
    return JSON.parse(readFileSync(file, "utf8")) as AzureConfig;
  } catch (cause) {
    throw new Error(`AZURE_FILE: ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}
