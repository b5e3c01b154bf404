import { timingSafeEqual } from "node:crypto";
import type { EntraTokens } from "./entra-tokens.ts";
import { type Right, reaches } from "./rights.ts";
import { type AccessKey, checkSharedAccessSignature } from "./sas.ts";

/** What a token allows, and until when (epoch milliseconds). */
export interface Grant {
  readonly expiresAt: number;
  allows(path: string, right: Right): boolean;
}

export type Admission =
  | { readonly ok: true; readonly grant: Grant }
  /** `unavailable`: the token may be good, but that cannot be told now. */
  | { readonly ok: false; readonly why: string; readonly unavailable?: true; readonly expiredAt?: number };

/** Decides what a token is worth: a shared access signature of one of our keys, or a JSON Web Token of the issuer we trust. */
export class Authority {
  readonly #accessKeys: () => readonly AccessKey[];
  readonly #entra: EntraTokens | undefined;
  readonly #now: () => number;

  /** `accessKeys` are those of the moment: administration changes them. */
  constructor(options: { accessKeys: () => readonly AccessKey[]; entra?: EntraTokens; now: () => number }) {
    this.#accessKeys = options.accessKeys;
    this.#entra = options.entra;
    this.#now = options.now;
  }

  /** @param audience the entity (as URI) that the signature must be for, or for a parent of it */
  checkSignature(signature: string, audience: string): Admission {
    const options = { audience, accessKeys: this.#accessKeys(), now: this.#now() };
    const verdict = checkSharedAccessSignature(signature, options);
    if (!verdict.ok) return verdict;
    return { ok: true, grant: grantOf(verdict.accessKey, verdict.expiresAt) };
  }

  /** What showing a key itself allows, for as long as the connection lasts; undefined when there is no such key. */
  checkPassword(name: string, password: string): Grant | undefined {
    const accessKey = this.#accessKeys().find((one) => one.name === name && equal(one.key, password));
    return accessKey && grantOf(accessKey, Number.POSITIVE_INFINITY);
  }

  async checkToken(token: string): Promise<Admission> {
    return (
      this.#entra?.check(token) ?? {
        ok: false,
        why: "this broker was started without Entra settings, so it trusts no issuer of tokens",
      }
    );
  }

  /** For HTTP, where each request brings its token in a header; the Go SDK leaves out the word `Bearer`, as Azure allows. */
  async checkHeader(authorization: string, audience: string): Promise<Admission> {
    const [, token] = /^(?:Bearer +)?([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization) ?? [];
    return token === undefined ? this.checkSignature(authorization, audience) : this.checkToken(token);
  }
}

const grantOf = ({ rights, scope }: AccessKey, expiresAt: number): Grant => ({
  expiresAt,
  allows: (path, right) => rights.includes(right) && reaches(scope, path),
});

function equal(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
