import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";

/**
 * Random secrets of one data directory, one file each (mode 0600), made on first use and kept from then on.
 * @returns the secret of each name: 32 characters of base64url, 192 bits
 */
export function readSecrets(directory: string, names: readonly string[]): Record<string, string> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return Object.fromEntries(names.map((name) => [name, readSecret(path.join(directory, name))]));
}

function readSecret(file: string): string {
  try {
    const secret = readFileSync(file, "utf8").trim();
    if (secret !== "") return secret;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const secret = randomBytes(24).toString("base64url");
  writeFileSync(`${file}.new`, `${secret}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file); // never a half-written secret
  return secret;
}
