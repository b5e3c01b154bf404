import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeAtomically } from "../private-file.ts";

/** Times are Unix seconds, as Key Vault has them. */
export type SecretVersion = {
  version: string;
  value: string;
  enabled: boolean;
  /** Not to be used before, and not from then on. Key Vault tells them; who uses the secret heeds them. */
  nbf?: number;
  exp?: number;
  created: number;
  updated: number;
  contentType?: string;
  tags?: Record<string, string>;
};

/** What may be set of a version; the rest follows. */
export type SecretProperties = Partial<Pick<SecretVersion, "enabled" | "nbf" | "exp" | "contentType" | "tags">>;

export type KeptSecret = { name: string; versions: SecretVersion[]; deleted_s?: number };

/** What the vault refuses, in Key Vault's words. */
export class VaultError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const VERSIONS_MAX = 500;
const SECRETS_MAX = 1_000;

/** The secrets of one vault, in one file that is replaced whole at each change (mode 0600). */
export class SecretStore {
  readonly #file: string;
  readonly #now: () => number;
  readonly #secrets: Map<string, KeptSecret>;

  /** @throws when the file is there and cannot be read */
  constructor(file: string, now: () => number = Date.now) {
    this.#file = file;
    this.#now = now;
    this.#secrets = new Map(read(file).map((secret) => [secret.name.toLowerCase(), secret]));
  }

  /** Adds a version, which is the latest from now on. */
  set(name: string, value: string, properties: SecretProperties): SecretVersion {
    const secret = this.#secrets.get(name.toLowerCase()) ?? { name, versions: [] };
    if (secret.deleted_s !== undefined) {
      const why = `Secret ${name} is currently in a deleted but recoverable state, and its name cannot be reused`;
      throw new VaultError(409, "Conflict", `${why}; recover or purge it first.`);
    }
    if (secret.versions.length >= VERSIONS_MAX || (secret.versions.length === 0 && this.#secrets.size >= SECRETS_MAX))
      throw new VaultError(403, "Forbidden", "This local vault is full: purge what is no longer needed.");
    const now = this.#seconds();
    const version = randomBytes(16).toString("hex");
    const made = { version, value, enabled: true, created: now, updated: now, ...properties };
    secret.versions.push(made);
    this.#secrets.set(name.toLowerCase(), secret);
    this.#save();
    return made;
  }

  /** A version, or the latest one. @throws VaultError when there is none, or it is disabled */
  get(name: string, version?: string): SecretVersion {
    const found = this.#find(name, version);
    if (!found.enabled) throw new VaultError(403, "Forbidden", "Operation get is not allowed on a disabled secret.");
    return found;
  }

  update(name: string, version: string | undefined, properties: SecretProperties): SecretVersion {
    const found = this.#find(name, version);
    Object.assign(found, properties, { updated: this.#seconds() });
    this.#save();
    return found;
  }

  /** Every version, the oldest first. @throws VaultError when there is no such secret */
  versions(name: string): readonly SecretVersion[] {
    return this.#live(name).versions;
  }

  /** The secrets that are there, or those that are deleted, by name. */
  list({ deleted }: { deleted: boolean }): readonly KeptSecret[] {
    const wanted = [...this.#secrets.values()].filter(({ deleted_s }) => (deleted_s !== undefined) === deleted);
    return wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws VaultError when no such secret is deleted */
  deleted(name: string): KeptSecret {
    const secret = this.#secrets.get(name.toLowerCase());
    if (secret?.deleted_s !== undefined) return secret;
    throw new VaultError(404, "SecretNotFound", `Deleted Secret not found: ${name}`);
  }

  delete(name: string): KeptSecret {
    const secret = this.#live(name);
    secret.deleted_s = this.#seconds();
    this.#save();
    return secret;
  }

  recover(name: string): KeptSecret {
    const secret = this.deleted(name);
    delete secret.deleted_s;
    this.#save();
    return secret;
  }

  purge(name: string): void {
    this.#secrets.delete(this.deleted(name).name.toLowerCase());
    this.#save();
  }

  #live(name: string): KeptSecret {
    const secret = this.#secrets.get(name.toLowerCase());
    if (secret !== undefined && secret.deleted_s === undefined) return secret;
    const what = `A secret with (name/id) ${name} was not found in this key vault.`;
    throw new VaultError(404, "SecretNotFound", what);
  }

  #find(name: string, version: string | undefined): SecretVersion {
    const { versions } = this.#live(name);
    const found = version === undefined ? versions.at(-1) : versions.find((one) => one.version === version);
    if (found !== undefined) return found;
    const what = `A secret with (name/id) ${name}/${version} was not found in this key vault.`;
    throw new VaultError(404, "SecretNotFound", what);
  }

  #seconds = () => Math.floor(this.#now() / 1_000);
  #save = () => writeAtomically(this.#file, JSON.stringify([...this.#secrets.values()]));
}

function read(file: string): KeptSecret[] {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as KeptSecret[];
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new Error(`${file}, which holds the vault's secrets, cannot be read: ${(cause as Error).message}`, { cause });
  }
}
