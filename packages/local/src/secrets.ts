import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { readIfThere, writeAtomically } from "./private-file.ts";

/**
 * Random secrets of one data directory, one file each (mode 0600), made on first use and kept from then on.
 * @returns the secret of each name: 32 characters of base64url, 192 bits
 */
export function readSecrets<Name extends string>(directory: string, names: readonly Name[]): Record<Name, string> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const secrets = names.map((name) => [name, readSecret(path.join(directory, name))] as const);
  return Object.fromEntries(secrets) as Record<Name, string>;
}

function readSecret(file: string): string {
  const kept = readIfThere(file)?.trim();
  if (kept) return kept;
  const secret = randomBytes(24).toString("base64url");
  writeAtomically(file, `${secret}\n`); // never a half-written secret
  return secret;
}
