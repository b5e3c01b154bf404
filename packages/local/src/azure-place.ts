import { randomInt } from "node:crypto";
import path from "node:path";
import { SERVICE_NAMES, type ServiceName } from "@millrace/contracts/permissions";
import { type IdentityAddresses, identityAddresses, vaultUrl } from "./azure/addresses.ts";
import { azureConfig } from "./azure-access.ts";
import { repositoryRoot } from "./binaries.ts";
import type { DataDir } from "./data-dir.ts";
import { type Identities, openIdentities } from "./identities.ts";
import type { LocalCertificate } from "./local-certificate.ts";
import { jsonText, writeAtomically } from "./private-file.ts";
import type { Launch } from "./processes/managed-process.ts";
import { accepts, freePortFrom } from "./processes/ports.ts";
import { baseEnvironment } from "./services.ts";

/** Where the local side of Azure is, and who each service is there. */
export type AzurePlace = Identities & {
  configFile: string;
  /** Where its identity route listens, and by which addresses it is used. */
  identityPort: number;
  identity: IdentityAddresses;
  keyVault: string;
  certificate: LocalCertificate;
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
  const [identity, vault] = [{ port: await quietPort() }, { port: await quietPort() }];
  const identities = openIdentities(dataDir.file("secrets"), [...SERVICE_NAMES, "operator"]);
  const { keyFile, certificateFile } = certificate;
  const tls = { keyFile, certificateFile };
  const config = azureConfig({ identities, identity, vault, storeDir: dataDir.file("azure"), seeds: secrets, ...tls });
  const configFile = dataDir.file("config", "azure.json");
  writeAtomically(configFile, jsonText(config));
  return {
    ...identities,
    configFile,
    identityPort: identity.port,
    identity: identityAddresses(identity),
    keyVault: vaultUrl(vault),
    certificate,
  };
}

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
