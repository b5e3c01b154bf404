import path from "node:path";
import { serviceBusAccess } from "./azure-access.ts";
import type { AzurePlace } from "./azure-place.ts";
import { repositoryRoot } from "./binaries.ts";
import type { DataDir } from "./data-dir.ts";
import type { LocalCertificate } from "./local-certificate.ts";
import { jsonText, writeAtomically } from "./private-file.ts";
import type { Launch } from "./processes/managed-process.ts";
import { accepts, freePortFrom } from "./processes/ports.ts";
import { readSecrets } from "./secrets.ts";
import { connectionStringOf, serviceBusEntities } from "./service-bus-entities.ts";
import { baseEnvironment } from "./services.ts";

export type ServiceBusPlace = {
  port: number;
  configFile: string;
  storeDir: string;
  key: string;
  /** For users: with a key, over plain TCP. */
  connectionString: string;
  /** For our own services: over TLS, with their identities. */
  namespace: string;
  entraFile: string;
  certificate: LocalCertificate;
};

/** Chooses the port and writes down which entities exist, and who may do what. */
export async function serviceBusPlace(
  dataDir: DataDir,
  azure: AzurePlace,
  options: { port: number; demo: boolean },
): Promise<ServiceBusPlace> {
  const port = await freePortFrom(options.port);
  const { servicebus: key } = readSecrets(dataDir.file("secrets"), ["servicebus"]);
  const configFile = dataDir.file("config", "servicebus.json");
  writeAtomically(configFile, jsonText(serviceBusEntities(options)));
  const entraFile = dataDir.file("config", "servicebus-entra.json");
  writeAtomically(entraFile, jsonText(serviceBusAccess(azure, { identity: { port: azure.identityPort } })));
  return {
    port,
    configFile,
    storeDir: dataDir.file("servicebus"),
    certificate: azure.certificate,
    entraFile,
    namespace: `localhost:${port}`,
    key,
    connectionString: connectionStringOf(`127.0.0.1:${port}`, key),
  };
}

export function launchServiceBus(place: ServiceBusPlace, env: Readonly<Record<string, string>>): Launch {
  return {
    command: process.execPath,
    args: [path.join(repositoryRoot, "packages/servicebus/src/main.ts")],
    env: {
      ...baseEnvironment(),
      HOST: "127.0.0.1",
      PORT: String(place.port),
      CONFIG_FILE: place.configFile,
      DATA_DIR: place.storeDir,
      SHARED_ACCESS_KEY: place.key,
      ENTRA_FILE: place.entraFile,
      TLS_KEY_FILE: place.certificate.keyFile,
      TLS_CERTIFICATE_FILE: place.certificate.certificateFile,
      ...env,
    },
    isReady: () => accepts(place.port),
  };
}
