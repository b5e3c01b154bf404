import path from "node:path";
import type { ServiceName } from "@millrace/contracts";
import { type AzurePlace, azureEnvironment } from "./azure-place.ts";
import { repositoryRoot } from "./binaries.ts";
import type { DataDir } from "./data-dir.ts";
import { SYSTEM_USER } from "./nats-config.ts";
import type { NatsServer } from "./nats-server.ts";
import type { Launch } from "./processes/managed-process.ts";
import { freePort } from "./processes/ports.ts";
import type { ServiceBusPlace } from "./service-bus.ts";

/** What the services of one Millrace have in common. */
export type Surroundings = {
  dataDir: DataDir;
  nats: Broker;
  httpPort: number;
  modelsDir: string;
  tokensFile: string;
  rulesFile: string;
  routesFile: string;
  serviceBus: ServiceBusPlace;
  azure: AzurePlace;
  /** Settings of the caller that every process gets; they win over ours. */
  env: Readonly<Record<string, string>>;
};

/** One nats-server or a cluster: where it is, and who gets in. */
export type Broker = Pick<NatsServer, "url" | "urlFor" | "passwordOf">;

const entryPoint = (name: string) => path.join(repositoryRoot, "services", name, "src/main.ts");

/** How a service is started: its settings, and a health port that is free at that moment. */
export async function launchService(name: ServiceName, around: Surroundings): Promise<Launch> {
  const healthPort = await freePort();
  return {
    command: process.execPath,
    args: [entryPoint(name)],
    env: {
      ...baseEnvironment(around.env),
      ...natsSettings(name, around.nats),
      ...azureEnvironment(around.azure, name),
      HEALTH_HOST: "127.0.0.1",
      HEALTH_PORT: String(healthPort),
      ...settings[name](around),
      ...around.env,
    },
    isReady: () => isReady(healthPort),
  };
}

const settings: Record<ServiceName, (around: Surroundings) => Record<string, string>> = {
  ingest: ({ httpPort, tokensFile }) => ({
    HTTP_HOST: "127.0.0.1",
    HTTP_PORT: String(httpPort),
    TOKENS_FILE: tokensFile,
  }),
  inference: ({ modelsDir }) => ({ MODELS_DIR: modelsDir }),
  // Webhooks of a local run go to this machine.
  notifier: ({ rulesFile }) => ({ RULES_FILE: rulesFile, ALLOW_PRIVATE_WEBHOOKS: "true" }),
  audit: ({ dataDir }) => ({ LEDGER_FILE: dataDir.file("ledger", "ledger.sqlite") }),
  bridge: ({ serviceBus, routesFile }) => ({
    SERVICEBUS_NAMESPACE: serviceBus.namespace,
    ROUTES_FILE: routesFile,
  }),
  keeper: ({ nats }) => ({ NATS_SYSTEM_USER: SYSTEM_USER, NATS_SYSTEM_PASSWORD: nats.passwordOf(SYSTEM_USER) }),
};

/** Who a process is on NATS. */
export const natsSettings = (user: string, nats: Broker): Record<string, string> => ({
  NATS_URL: nats.url,
  NATS_USER: user,
  NATS_PASSWORD: nats.passwordOf(user),
});

/**
 * The user's environment (proxies, certificates, log level, …) without what package managers and test runners put
 * into it for their own children, and without the user's sign-in to the real Azure. Compiled code is cached, which halves the start of a service.
 */
export function baseEnvironment(own: Readonly<Record<string, string>> = {}): Record<string, string> {
  const foreign =
    /^(npm_|pnpm_|PNPM_|INIT_CWD$|NODE_OPTIONS$|NODE_V8_COVERAGE$|NODE_ENV$|VITEST|VITE_|TEST$|NATS_|AZURE_|IDENTITY_|MSI_|MILLRACE_WRAPPER_PID$)/;
  const inherited = Object.entries(process.env).filter(([name, value]) => value !== undefined && !foreign.test(name));
  return {
    NODE_COMPILE_CACHE: path.join(repositoryRoot, ".toolchain/compile-cache"),
    ...(Object.fromEntries(inherited) as Record<string, string>),
    ...own,
  };
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(1_000) });
  await response.body?.cancel();
  return response.ok;
}
