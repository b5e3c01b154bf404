import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { newWebhookSecret } from "../demo/webhook-receiver.ts";
import { openIdentities } from "../identities.ts";
import { keptCertificate, LOOPBACK_NAMES } from "../local-certificate.ts";
import { gatherModels } from "../models-dir.ts";
import { readIfThere, writeAtomically } from "../private-file.ts";
import { readSecrets } from "../secrets.ts";
import { SERVICE_BUS, VAULT } from "./network.ts";
import type { VaultChoice } from "./vault-choice.ts";
import { type Kept, NATS_USERS, PRINCIPALS, PUBLIC, type Volume, volumesOf } from "./volumes.ts";

export type PrepareOptions = {
  /** What is kept: secrets, keys, the certificate. No other process sees it. */
  dataDir: string;
  /** Holds a directory for each volume. */
  volumesDir: string;
  /** Model folders, or directories of them. */
  models: readonly string[];
  vault: VaultChoice;
};

/**
 * Makes what the containers need, and may be run again at any time, beside them too: secrets, keys and the certificate that
 * are there stay, what follows from them is brought up to date, each file in one step.
 * @returns the models' names
 */
export async function prepare({ dataDir, volumesDir, models, vault }: PrepareOptions): Promise<string[]> {
  const kept = await openKept(dataDir);
  const names = gatherModels(models, path.join(volumesDir, "models"));
  for (const [name, files] of Object.entries(volumesOf(kept, { models: names, vault })))
    fill(path.join(volumesDir, name), files, PUBLIC.includes(name) ? 0o644 : 0o600);
  return names;
}

async function openKept(dataDir: string): Promise<Kept> {
  const secretsDir = path.join(dataDir, "secrets");
  const natsSecret = (user: string) => `nats-${user}`;
  const names = ["token", "servicebus", "nats-route", ...NATS_USERS.map(natsSecret)];
  const secrets = readSecrets(secretsDir, names);
  const tlsNames = [VAULT.name, SERVICE_BUS.name, ...LOOPBACK_NAMES];
  return {
    token: secrets.token!,
    natsPassword(user) {
      const password = secrets[natsSecret(user)];
      if (password === undefined) throw new Error(`there is no NATS user "${user}"`);
      return password;
    },
    routePassword: secrets["nats-route"]!,
    serviceBusKey: secrets.servicebus!,
    webhookSecret: keptWebhookSecret(path.join(secretsDir, "webhook")),
    identities: openIdentities(secretsDir, PRINCIPALS),
    certificate: await keptCertificate(path.join(dataDir, "tls"), tlsNames),
  };
}

/** It has a form of its own, which receivers expect. */
function keptWebhookSecret(file: string): string {
  const kept = readIfThere(file)?.trim();
  if (kept) return kept;
  const made = newWebhookSecret();
  writeAtomically(file, `${made}\n`);
  return made;
}

/** Makes a directory hold these files and no others; one that is as it should be is not touched. */
function fill(directory: string, files: Volume, mode: number): void {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name);
    if (readIfThere(file) !== text) writeAtomically(file, text, mode);
  }
  for (const name of readdirSync(directory))
    if (!Object.hasOwn(files, name)) rmSync(path.join(directory, name), { recursive: true });
}
