import { once } from "node:events";
import { createConnection } from "node:net";
import path from "node:path";
import { repositoryRoot } from "./binaries.ts";
import { type DataDir, writeAtomically } from "./data-dir.ts";
import type { Launch } from "./processes/managed-process.ts";
import { freePortFrom } from "./processes/ports.ts";
import { readSecrets } from "./secrets.ts";
import { baseEnvironment } from "./services.ts";

/** The topic that outcomes are mirrored to. */
export const TOPIC = "predictions";

/** Each subscription gets every message: the demonstration's own never takes from the one that is for users. */
export const SUBSCRIPTIONS = { enterprise: "enterprise", demo: "demo" } as const;

export type ServiceBusPlace = { port: number; entitiesFile: string; storeDir: string; connectionString: string };

/** Chooses the port and writes down which entities exist. */
export async function serviceBusPlace(dataDir: DataDir, wantedPort: number): Promise<ServiceBusPlace> {
  const port = await freePortFrom(wantedPort);
  const { servicebus: key } = readSecrets(dataDir.file("secrets"), ["servicebus"]) as { servicebus: string };
  const entitiesFile = dataDir.file("config", "servicebus.json");
  const subscriptions = Object.values(SUBSCRIPTIONS).map((name) => ({ name }));
  writeAtomically(entitiesFile, `${JSON.stringify({ topics: [{ name: TOPIC, subscriptions }] }, null, 2)}\n`);
  return {
    port,
    entitiesFile,
    storeDir: dataDir.file("servicebus"),
    connectionString: [
      `Endpoint=sb://127.0.0.1:${port}`,
      "SharedAccessKeyName=RootManageSharedAccessKey",
      `SharedAccessKey=${key}`,
      "UseDevelopmentEmulator=true", // plain TCP: the SDK otherwise insists on TLS
    ].join(";"),
  };
}

export async function launchServiceBus(place: ServiceBusPlace, env: Readonly<Record<string, string>>): Promise<Launch> {
  return {
    command: process.execPath,
    args: [path.join(repositoryRoot, "packages/servicebus/src/main.ts")],
    env: {
      ...baseEnvironment(),
      HOST: "127.0.0.1",
      PORT: String(place.port),
      ENTITIES_FILE: place.entitiesFile,
      DATA_DIR: place.storeDir,
      ...env,
    },
    isReady: () => accepts(place.port),
  };
}

async function accepts(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: "127.0.0.1" });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(1_000) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
