import { createRemoteJWKSet, jwtVerify } from "jose";
import { VaultError } from "./secret-store.ts";
import { ALGORITHM } from "./signing-keys.ts";

/** The audience of tokens for Key Vault, which its challenge names. */
export const VAULT_AUDIENCE = "https://vault.azure.net";

/** Azure's built-in roles: a user reads values and lists, an officer does everything. */
export type VaultRole = "Key Vault Secrets User" | "Key Vault Secrets Officer";
export type VaultRoleAssignment = { principalId: string; role: VaultRole };

/** What a request wants to do. */
export type VaultAction = "read" | "write";

export type VaultAccess = {
  /**
   * Checks the bearer token of a request: signature, issuer, audience, times, and a role that allows the action.
   * @throws VaultError 401 when there is no good token, 403 when its principal has no such role
   */
  check(authorization: string | undefined, action: VaultAction): Promise<void>;
};

export type VaultAccessOptions = {
  issuer: string;
  jwksUri: string;
  roleAssignments: readonly VaultRoleAssignment[];
};

/** Microsoft's services allow for five minutes between clocks; here it is one machine. */
const CLOCK_TOLERANCE_S = 5;
/** A key that is not known yet is asked for at once, then not again for so long. */
const KEYS_COOLDOWN_MS = 1_000;
const TOKEN_CHARACTERS_MAX = 16 * 1024;

export function vaultAccess({ issuer, jwksUri, roleAssignments }: VaultAccessOptions): VaultAccess {
  const keys = createRemoteJWKSet(new URL(jwksUri), { cooldownDuration: KEYS_COOLDOWN_MS, timeoutDuration: 5_000 });
  const principalOf = async (token: string): Promise<unknown> => {
    const options = { issuer, audience: VAULT_AUDIENCE, algorithms: [ALGORITHM], clockTolerance: CLOCK_TOLERANCE_S };
    try {
      const { payload } = await jwtVerify(token, keys, { ...options, requiredClaims: ["exp", "oid"] });
      return payload.oid;
    } catch (cause) {
      throw new VaultError(401, "Unauthorized", `AKV10022: the token is not accepted: ${(cause as Error).message}`);
    }
  };
  return {
    async check(authorization, action) {
      const token = /^Bearer ([\w.~+/-]+)$/i.exec(authorization ?? "")?.[1];
      if (token === undefined || token.length > TOKEN_CHARACTERS_MAX)
        throw new VaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.");
      const principal = await principalOf(token);
      const roles = roleAssignments.filter(({ principalId }) => principalId === principal).map(({ role }) => role);
      const allowed = action === "read" ? roles.length > 0 : roles.includes("Key Vault Secrets Officer");
      if (allowed) return;
      const what = `Caller is not authorized to perform action on resource: oid=${principal} has no role for ${action}.`;
      throw new VaultError(403, "Forbidden", what);
    },
  };
}
