import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { exportJWK, generateKeyPair, importJWK, type JSONWebKeySet, type JWK } from "jose";
import { writeAtomically } from "../private-file.ts";

/** The algorithm Entra signs with. */
export const ALGORITHM = "RS256";

/** The keys that tokens are signed with: the newest signs, older ones are published while a token of theirs may live. */
export type SigningKeys = {
  /** The key that signs now, and its name for the header. */
  current(): Promise<{ kid: string; key: Exclude<Awaited<ReturnType<typeof importJWK>>, Uint8Array> }>;
  /** What verifiers read: public halves only. */
  published(): JSONWebKeySet;
  /** Makes a new key; the one before it stays published for `overlap_ms`. */
  rotate(): Promise<void>;
};

type Kept = { kid: string; made_ms: number; jwk: JWK };

export type SigningKeysOptions = {
  /** Where they are kept (mode 0600), so that a restart invalidates no token. */
  file: string;
  /** At least the lifetime of a token. */
  overlap_ms: number;
  now: () => number;
};

/** Reads the keys, and makes the first one. */
export async function openSigningKeys({ file, overlap_ms, now }: SigningKeysOptions): Promise<SigningKeys> {
  let kept = read(file);
  /** A key signs until the next one is made: what it signed last lives for `overlap_ms` from then on. */
  const stillNeeded = (_: Kept, index: number) => {
    const next = kept[index + 1];
    return next === undefined || now() < next.made_ms + overlap_ms;
  };
  const rotate = async () => {
    const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
    kept.push({ kid: randomUUID(), made_ms: now(), jwk: await exportJWK(privateKey) });
    kept = kept.filter(stillNeeded);
    writeAtomically(file, JSON.stringify(kept));
  };
  if (kept.length === 0) await rotate();
  return {
    async current() {
      const { kid, jwk } = kept.at(-1)!;
      const key = await importJWK(jwk, ALGORITHM);
      if (key instanceof Uint8Array) throw new Error(`${file} holds a key that is not RSA: remove the file`);
      return { kid, key };
    },
    published: () => ({
      keys: kept
        .filter(stillNeeded)
        .map(({ kid, jwk: { n, e } }) => ({ kty: "RSA", use: "sig", alg: ALGORITHM, kid, n: n!, e: e! })),
    }),
    rotate,
  };
}

function read(file: string): Kept[] {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Kept[];
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new Error(`${file} cannot be read (${(cause as Error).message}); remove it and new keys are made`, { cause });
  }
}
