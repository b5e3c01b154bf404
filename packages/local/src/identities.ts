import type { ServiceName } from "@millrace/contracts/permissions";
import { type Principal, principalOf } from "./azure/principal.ts";
import { readSecrets } from "./secrets.ts";

/** Who may have an identity here: each service, the demonstration, and who uses Millrace and may do everything. */
export type PrincipalName = ServiceName | "demo" | "operator";

/** Who is who at the local Azure. */
export type Identities = {
  principals: Principal[];
  principalIdOf: (principal: PrincipalName) => string;
  /** What `IDENTITY_HEADER` makes a process that principal. */
  headerOf: (principal: PrincipalName) => string;
};

/** Gives each a secret of its own, which is made on first use and kept. */
export function openIdentities(secretsDir: string, names: readonly PrincipalName[]): Identities {
  const secretName = (principal: PrincipalName) => `identity-${principal}`;
  const headers = readSecrets(secretsDir, names.map(secretName));
  const known = new Map(names.map((name) => [name, principalOf(name, headers[secretName(name)]!)]));
  const of = (name: PrincipalName): Principal => {
    const principal = known.get(name);
    if (principal === undefined) throw new Error(`"${name}" has no identity here`);
    return principal;
  };
  return {
    principals: [...known.values()],
    principalIdOf: (name) => of(name).principalId,
    headerOf: (name) => headers[secretName(of(name).name as PrincipalName)]!,
  };
}
