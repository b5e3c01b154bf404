import { createRemoteJWKSet, customFetch, errors, jwtVerify } from "jose";
import { AZURE_AUDIENCE, type EntraSettings } from "../entra-settings.ts";
import type { Admission } from "./authority.ts";
import { type Right, ROLES, reaches } from "./rights.ts";
import { entityPath } from "./sas.ts";

const CLOCK_TOLERANCE_S = 2;
const KEYS_TIMEOUT_MS = 5_000;
/** How soon keys are asked for again, for a token that names an unknown one. */
const KEYS_COOLDOWN_MS = 30_000;
/** How soon after a failure. */
const KEYS_RETRY_MS = 1_000;
const MAX_TOKEN_LENGTH = 16_384;

/** Why a token is refused, by the code of the error; none of it quotes the token. */
const REASONS: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: "the token has expired",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "the signature does not fit the issuer's key",
  ERR_JWKS_NO_MATCHING_KEY: "the issuer has no key of the token's key id",
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: "the token does not say which of the issuer's keys signed it",
  ERR_JOSE_ALG_NOT_ALLOWED: "the token's algorithm is not RS256",
  ERR_JWS_INVALID: "the token is no JSON Web Token",
  ERR_JWT_INVALID: "the token is no JSON Web Token",
  ERR_JOSE_NOT_SUPPORTED: "the token or the issuer's key is of a kind that is not supported",
};

const CLAIMS: Readonly<Record<string, string>> = {
  iss: "the token is of another issuer",
  aud: "the token was issued for another audience",
  exp: "the token has no expiry",
  nbf: "the token is not valid yet",
  oid: "the token has no oid claim, by which roles are assigned",
};

/** Checks the tokens of an Entra tenant (or of any issuer like it) and looks up the roles of whoever they are for. */
export class EntraTokens {
  readonly #settings: EntraSettings;
  readonly #audiences: string[];
  readonly #keys: ReturnType<typeof createRemoteJWKSet>;
  readonly #now: () => number;

  constructor(options: { settings: EntraSettings; now: () => number }) {
    this.#settings = options.settings;
    this.#now = options.now;
    const audiences = options.settings.audiences ?? [AZURE_AUDIENCE];
    this.#audiences = audiences.flatMap(bothWays);
    this.#keys = createRemoteJWKSet(new URL(options.settings.jwksUri), {
      timeoutDuration: KEYS_TIMEOUT_MS,
      cooldownDuration: KEYS_COOLDOWN_MS,
      [customFetch]: notTooOften(options.now),
    });
  }

  async check(token: string): Promise<Admission> {
    if (token.length > MAX_TOKEN_LENGTH) return { ok: false, why: "the token is too long" };
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        issuer: this.#settings.issuer,
        audience: this.#audiences,
        algorithms: ["RS256"],
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ["exp", "oid"],
        currentDate: new Date(this.#now()),
      });
      const expiresAt = (payload.exp! + CLOCK_TOLERANCE_S) * 1000;
      return { ok: true, grant: { expiresAt, allows: this.#rightsOf(String(payload.oid)) } };
    } catch (error) {
      return { ok: false, ...reasonOf(error) };
    }
  }

  #rightsOf(principalId: string): (path: string, right: Right) => boolean {
    const assigned = this.#settings.roleAssignments
      .filter((assignment) => assignment.principalId.toLowerCase() === principalId.toLowerCase())
      .map(({ role, scope }) => ({ rights: ROLES[role] as readonly Right[], scope: entityPath(scope ?? "") }));
    return (path, right) => assigned.some(({ rights, scope }) => rights.includes(right) && reaches(scope, path));
  }
}

/** SDKs ask for `<resource>/.default` and get tokens for the resource, which old ones write with a slash at its end. */
function bothWays(audience: string): string[] {
  const resource = audience.replace(/\/+(\.default)?$/, "");
  return [resource, `${resource}/`];
}

/** jose waits between fetches that worked; this does so after one that did not, or tokens could make us flood the issuer. */
function notTooOften(now: () => number): typeof fetch {
  let failedAt = Number.NEGATIVE_INFINITY;
  return async (...request) => {
    if (now() - failedAt < KEYS_RETRY_MS) throw new Error("The issuer's keys could not be fetched a moment ago.");
    try {
      const response = await fetch(...request);
      if (!response.ok) failedAt = now();
      return response;
    } catch (error) {
      failedAt = now();
      throw error;
    }
  };
}

function reasonOf(error: unknown): { why: string; unavailable?: true } {
  if (error instanceof errors.JWTClaimValidationFailed && CLAIMS[error.claim]) return { why: CLAIMS[error.claim]! };
  const known = error instanceof errors.JOSEError ? REASONS[error.code] : undefined;
  if (known) return { why: known };
  if (error instanceof errors.JWTClaimValidationFailed) return { why: "a claim of the token is not what it must be" };
  return { why: "the issuer's keys could not be fetched; is its jwksUri reachable from here?", unavailable: true };
}
