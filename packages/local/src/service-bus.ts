import path from "node:path";
import { type AzurePlace, rolesIn } from "./azure-place.ts";
import { repositoryRoot } from "./binaries.ts";
import { type DataDir, writeAtomically } from "./data-dir.ts";
import type { LocalCertificate } from "./local-certificate.ts";
import type { Launch } from "./processes/managed-process.ts";
import { accepts, freePortFrom } from "./processes/ports.ts";
import { readSecrets } from "./secrets.ts";
import { baseEnvironment } from "./services.ts";

/** The topic that outcomes are mirrored to. */
export const TOPIC = "predictions";

/** Each subscription gets every message: the demonstration's own never takes from the one that is for users. */
export const SUBSCRIPTIONS = { enterprise: "enterprise", demo: "demo" } as const;

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
  const { servicebus: key } = readSecrets(dataDir.file("secrets"), ["servicebus"]) as { servicebus: string };
  const configFile = dataDir.file("config", "servicebus.json");
  writeAtomically(configFile, `${JSON.stringify(entities(options.demo), null, 2)}\n`);
  const entraFile = dataDir.file("config", "servicebus-entra.json");
  writeAtomically(entraFile, `${JSON.stringify(entra(azure), null, 2)}\n`);
  return {
    port,
    configFile,
    storeDir: dataDir.file("servicebus"),
    certificate: azure.certificate,
    entraFile,
    namespace: `localhost:${port}`,
    key,
    connectionString: [
      `Endpoint=sb://127.0.0.1:${port}`,
      "SharedAccessKeyName=RootManageSharedAccessKey",
      `SharedAccessKey=${key}`,
      "UseDevelopmentEmulator=true", // plain TCP: the SDK otherwise insists on TLS
    ].join(";"),
  };
}

/** Whose tokens the broker believes, and their roles. */
const entra = ({ identity, principalIdOf }: AzurePlace) => ({
  issuer: identity.issuer,
  jwksUri: identity.jwksUri,
  roleAssignments: [
    ...rolesIn(["Azure Service Bus Data Sender", "Azure Service Bus Data Receiver"], principalIdOf),
    { principalId: principalIdOf("operator"), role: "Azure Service Bus Data Owner" },
  ],
});

/**
 * In the form of the official emulator's Config.json. Duplicate detection is what makes a repeated send, after a
 * bridge was killed between sending and acknowledging, invisible to receivers.
 */
function entities(demo: boolean) {
  const subscriptions = [
    { Name: SUBSCRIPTIONS.enterprise },
    // What nobody reads must not fill the topic: this one lives as long as the terminal it is shown on.
    ...(demo ? [{ Name: SUBSCRIPTIONS.demo, Properties: { DefaultMessageTimeToLive: "PT10M" } }] : []),
  ];
  const topic = {
    Name: TOPIC,
    Properties: {
      RequiresDuplicateDetection: true,
      DuplicateDetectionHistoryTimeWindow: "P1D",
      MaxSizeInMegabytes: 5120,
      MaxMessageSizeInKilobytes: 1024,
    },
    Subscriptions: subscriptions,
  };
  return { UserConfig: { Namespaces: [{ Name: "millrace", Topics: [topic] }] } };
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
