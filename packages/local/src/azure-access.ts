import path from "node:path";
import { AZURE_GRANTS } from "@millrace/contracts/azure-roles";
import { identityAddresses, type ListenOptions } from "./azure/addresses.ts";
import type { AzureConfig } from "./azure/config.ts";
import type { Identities } from "./identities.ts";

/**
 * Who may do what at the local Azure: the same table as in the real one (contracts), here on the whole vault or namespace,
 * since what they would be named for is made while Millrace runs.
 */
const rolesIn = <Role extends string>(roles: readonly Role[], { principalIdOf }: Identities) =>
  AZURE_GRANTS.flatMap(({ service, role }) => {
    const known = roles.find((it): boolean => it === role);
    return known === undefined ? [] : [{ principalId: principalIdOf(service), role: known }];
  });

export type AzureAccess = {
  identities: Identities;
  identity: ListenOptions;
  vault: ListenOptions;
  /** Where the process keeps its signing keys and the vault's secrets. */
  storeDir: string;
  keyFile: string;
  certificateFile: string;
  /** What the vault holds from the start, by name. */
  seeds: Readonly<Record<string, string>>;
};

/** What the process `azure` is told. */
export function azureConfig({ identities, identity, vault, storeDir, seeds, ...tls }: AzureAccess): AzureConfig {
  return {
    identity: { ...identity, principals: identities.principals, keysFile: path.join(storeDir, "signing-keys.json") },
    vault: {
      ...vault,
      keyFile: tls.keyFile,
      certificateFile: tls.certificateFile,
      secretsFile: path.join(storeDir, "secrets.json"),
      seeds,
      roleAssignments: [
        { principalId: identities.principalIdOf("operator"), role: "Key Vault Secrets Officer" },
        ...rolesIn(["Key Vault Secrets User"], identities),
      ],
    },
  };
}

/** A role of somebody who is no service, on one queue, topic or subscription. */
type ScopedRole = { principalId: string; role: "Azure Service Bus Data Receiver"; scope: string };

/** Whose tokens the local Service Bus believes, and their roles. */
export function serviceBusAccess(
  identities: Identities,
  { identity, others = [] }: { identity: ListenOptions; others?: readonly ScopedRole[] },
) {
  const { issuer, jwksUri } = identityAddresses(identity);
  return {
    issuer,
    jwksUri,
    roleAssignments: [
      ...rolesIn(["Azure Service Bus Data Sender", "Azure Service Bus Data Receiver"], identities),
      { principalId: identities.principalIdOf("operator"), role: "Azure Service Bus Data Owner" },
      ...others,
    ],
  };
}
