import { readFileSync } from "node:fs";
import type { IdentityOptions } from "./identity.ts";

/** What the process of the local Azure is told, in a file that only its owner reads. */
export type AzureConfig = { identity: Omit<IdentityOptions, "now"> };

/** @throws when there is no such file, or it is no JSON; the message says what to do */
export function readAzureConfig(file: string | undefined): AzureConfig {
  if (!file)
    throw new Error('AZURE_FILE is not set: name a file with {"identity": {"port", "principals", "keysFile"}}');
  try {
    return JSON.parse(readFileSync(file, "utf8")) as AzureConfig;
  } catch (cause) {
    throw new Error(`AZURE_FILE: ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
}
