import path from "node:path";
import { SERVICE_NAMES, type ServiceName } from "@millrace/contracts/permissions";
import { type IdentityAddresses, identityAddresses } from "./azure/addresses.ts";
import type { AzureConfig } from "./azure/config.ts";
import { principalOf } from "./azure/principal.ts";
import { repositoryRoot } from "./binaries.ts";
import { type DataDir, writeAtomically } from "./data-dir.ts";
import type { Launch } from "./processes/managed-process.ts";
import { freePort } from "./processes/ports.ts";
import { readSecrets } from "./secrets.ts";
import { baseEnvironment } from "./services.ts";

/** Where the local side of Azure is, and who each service is there. */
export type AzurePlace = {
  configFile: string;
  identity: IdentityAddresses;
  /** What makes `DefaultAzureCredential` of a service its own managed identity. */
  environmentOf: (service: ServiceName) => Record<string, string>;
};

/** Chooses the port, gives each service an identity, and writes down what the process needs to know. */
export async function azurePlace(dataDir: DataDir): Promise<AzurePlace> {
  const port = await freePort();
  const secretName = (service: ServiceName) => `identity-${service}`;
  const headers = readSecrets(dataDir.file("secrets"), SERVICE_NAMES.map(secretName));
  const headerOf = (service: ServiceName) => headers[secretName(service)]!;
  const config: AzureConfig = {
    identity: {
      port,
      principals: SERVICE_NAMES.map((service) => principalOf(service, headerOf(service))),
      keysFile: dataDir.file("azure", "signing-keys.json"),
    },
  };
  const configFile = dataDir.file("config", "azure.json");
  writeAtomically(configFile, `${JSON.stringify(config, null, 2)}\n`);
  const identity = identityAddresses(port);
  return {
    configFile,
    identity,
    environmentOf: (service) => ({
      IDENTITY_ENDPOINT: identity.endpoint,
      IDENTITY_HEADER: headerOf(service),
      AZURE_TOKEN_CREDENTIALS: "ManagedIdentityCredential", // no other kind is looked for
    }),
  };
}

export function launchAzure(place: AzurePlace, env: Readonly<Record<string, string>>): Launch {
  return {
    command: process.execPath,
    args: [path.join(repositoryRoot, "packages/local/src/azure/main.ts")],
    env: { ...baseEnvironment(), AZURE_FILE: place.configFile, ...env },
    isReady: () => isReady(place),
  };
}

async function isReady({ identity }: AzurePlace): Promise<boolean> {
  const response = await fetch(identity.jwksUri, { signal: AbortSignal.timeout(1_000) });
  await response.body?.cancel();
  return response.ok;
}
