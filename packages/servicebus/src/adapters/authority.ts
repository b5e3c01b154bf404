import type { EntraTokens } from "./entra-tokens.ts";
import type { Right } from "./rights.ts";
import { type AccessKey, checkSharedAccessSignature } from "./sas.ts";

/** What a token allows, and until when (epoch milliseconds). */
export interface Grant {
  readonly expiresAt: number;
  allows(path: string, right: Right): boolean;
}

export type Admission =
  | { readonly ok: true; readonly grant: Grant }
  /** `unavailable`: the token may be good, but that cannot be told now. */
  | { readonly ok: false; readonly why: string; readonly unavailable?: true };

/** Decides what a token is worth: a shared access signature of our key, or a JSON Web Token of the issuer we trust. */
export class Authority {
  readonly accessKey: AccessKey;
  readonly #entra: EntraTokens | undefined;
  readonly #now: () => number;

  constructor(options: { accessKey: AccessKey; entra?: EntraTokens; now: () => number }) {
    this.accessKey = options.accessKey;
    this.#entra = options.entra;
    this.#now = options.now;
  }

  /** @param audience the entity (as URI) that the signature must be for, or for a parent of it */
  checkSignature(signature: string, audience: string): Admission {
    const { accessKey } = this;
    const verdict = checkSharedAccessSignature(signature, { audience, accessKey, now: this.#now() });
    if (!verdict.ok) return verdict;
    const { rights } = accessKey;
    return { ok: true, grant: { expiresAt: verdict.expiresAt, allows: (_path, right) => rights.includes(right) } };
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
