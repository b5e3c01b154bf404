import { randomInt } from "node:crypto";
import path from "node:path";
import { AZURE_GRANTS } from "@millrace/contracts/azure-roles";
import { SERVICE_NAMES, type ServiceName } from "@millrace/contracts/permissions";
import { type IdentityAddresses, identityAddresses, vaultUrl } from "./azure/addresses.ts";
import type { AzureConfig } from "./azure/config.ts";
import { principalOf } from "./azure/principal.ts";
import { repositoryRoot } from "./binaries.ts";
import { type DataDir, writeAtomically } from "./data-dir.ts";
import type { LocalCertificate } from "./local-certificate.ts";
import type { Launch } from "./processes/managed-process.ts";
import { accepts, freePortFrom } from "./processes/ports.ts";
import { readSecrets } from "./secrets.ts";
import { baseEnvironment } from "./services.ts";

/** Each service, and who uses Millrace and may do everything. */
const PRINCIPALS = [...SERVICE_NAMES, "operator"] as const;
type PrincipalName = (typeof PRINCIPALS)[number];

/** Where the local side of Azure is, and who each service is there. */
export type AzurePlace = {
  configFile: string;
  identity: IdentityAddresses;
  keyVault: string;
  certificate: LocalCertificate;
  principalIdOf: (principal: PrincipalName) => string;
  /** What `IDENTITY_HEADER` makes a process that principal. */
  headerOf: (principal: PrincipalName) => string;
};

/**
 * Chooses the ports, gives each service an identity, and writes down what the process needs to know.
 * @param secrets what the vault holds from the start
 */
export async function azurePlace(
  dataDir: DataDir,
  certificate: LocalCertificate,
  secrets: Readonly<Record<string, string>>,
): Promise<AzurePlace> {
  const [identityPort, vaultPort] = [await quietPort(), await quietPort()];
  const secretName = (principal: PrincipalName) => `identity-${principal}`;
  const headers = readSecrets(dataDir.file("secrets"), PRINCIPALS.map(secretName));
  const headerOf = (principal: PrincipalName) => headers[secretName(principal)]!;
  const principals = PRINCIPALS.map((name) => principalOf(name, headerOf(name)));
  const principalIdOf = (name: PrincipalName) => principals[PRINCIPALS.indexOf(name)]!.principalId;
  const config: AzureConfig = {
    identity: { port: identityPort, principals, keysFile: dataDir.file("azure", "signing-keys.json") },
    vault: {
      port: vaultPort,
      keyFile: certificate.keyFile,
      certificateFile: certificate.certificateFile,
      secretsFile: dataDir.file("azure", "secrets.json"),
      seeds: secrets,
      roleAssignments: [
        { principalId: principalIdOf("operator"), role: "Key Vault Secrets Officer" },
        ...rolesIn(["Key Vault Secrets User"], principalIdOf),
      ],
    },
  };
  const configFile = dataDir.file("config", "azure.json");
  writeAtomically(configFile, `${JSON.stringify(config, null, 2)}\n`);
  const identity = identityAddresses(identityPort);
  return { configFile, identity, keyVault: vaultUrl(vaultPort), certificate, principalIdOf, headerOf };
}

/**
 * What services are granted in Azure, here on the whole vault or namespace: what they would be named for is made while
 * Millrace runs.
 */
export const rolesIn = <Role extends string>(roles: readonly Role[], principalIdOf: AzurePlace["principalIdOf"]) =>
  AZURE_GRANTS.flatMap(({ service, role }) => {
    const known = roles.find((it): boolean => it === role);
    return known === undefined ? [] : [{ principalId: principalIdOf(service), role: known }];
  });

/** Below the range that outgoing connections take from: while the process is started again, none takes its port. */
const quietPort = (): Promise<number> => freePortFrom(randomInt(20_000, 32_000));

/** What makes `DefaultAzureCredential` of a service its own managed identity, and lets it trust what is here. */
export function azureEnvironment(place: AzurePlace, service: ServiceName): Record<string, string> {
  const noProxy = [process.env.NO_PROXY ?? process.env.no_proxy, "localhost", "127.0.0.1"].filter(Boolean).join(",");
  return {
    IDENTITY_ENDPOINT: place.identity.endpoint,
    IDENTITY_HEADER: place.headerOf(service),
    AZURE_TOKEN_CREDENTIALS: "ManagedIdentityCredential", // no other kind is looked for
    AZURE_KEYVAULT_LOCAL: "true",
    NODE_EXTRA_CA_CERTS: place.certificate.trustFile,
    NO_PROXY: noProxy, // the user's proxy leads to the world, and does not come back
    no_proxy: noProxy,
  };
}

export function launchAzure(place: AzurePlace, env: Readonly<Record<string, string>>): Launch {
  return {
    command: process.execPath,
    args: [path.join(repositoryRoot, "packages/local/src/azure/main.ts")],
    env: { ...baseEnvironment(), AZURE_FILE: place.configFile, ...env },
    isReady: () => accepts(Number(new URL(place.keyVault).port)), // the vault listens last
  };
}
