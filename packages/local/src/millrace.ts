import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { SERVICE_NAMES, type ServiceName, USERS } from "@millrace/contracts/permissions";
import { azurePlace, launchAzure } from "./azure-place.ts";
import { repositoryRoot } from "./binaries.ts";
import { type DataDir, openDataDir } from "./data-dir.ts";
import { localCertificate } from "./local-certificate.ts";
import { gatherModels } from "./models-dir.ts";
import { type NatsCluster, startNatsCluster } from "./nats-cluster.ts";
import { SYSTEM_USER } from "./nats-config.ts";
import { startNatsServer } from "./nats-server.ts";
import type { Options } from "./options.ts";
import { jsonText, readIfThere, writeAtomically } from "./private-file.ts";
import { runJob } from "./processes/job.ts";
import { rotate } from "./processes/log-file.ts";
import { ManagedProcess, type ProcessChange } from "./processes/managed-process.ts";
import { freePortFrom } from "./processes/ports.ts";
import { type Reaper, startReaper } from "./processes/reaper.ts";
import { authorizationHeader, PROJECT, ROUTES, TENANT, tokensFile } from "./project.ts";
import { type Run, removeRunFile, writeRunFile } from "./run-file.ts";
import { readSecrets } from "./secrets.ts";
import { launchServiceBus, serviceBusPlace } from "./service-bus.ts";
import { SUBSCRIPTIONS, TOPIC } from "./service-bus-entities.ts";
import { type Broker, baseEnvironment, launchService, natsSettings, type Surroundings } from "./services.ts";

export type MillraceOptions = Pick<Options, "dataDir" | "demo" | "models" | "ports" | "cluster"> & {
  /** Notification rules, as the notifier reads them. @param keyVault URL of the local vault */
  rules: (keyVault: string) => readonly unknown[];
  /** What the local Key Vault holds from the start, by name. */
  secrets: Readonly<Record<string, string>>;
  /** Settings that every process gets. */
  env?: Readonly<Record<string, string>>;
  /** Told what happens to each process. */
  onChange?: (name: string, change: ProcessChange) => void;
  /** Stops the start when aborted. */
  signal?: AbortSignal;
};

/** A running Millrace: a broker, a Service Bus, the rest of Azure and every service, each in a process of its own. */
export type Millrace = AsyncDisposable & {
  readonly run: Run;
  readonly runFile: string;
  readonly dataDir: DataDir;
  readonly processes: ReadonlyMap<string, ManagedProcess>;
  /** Undefined when it runs on one nats-server. */
  readonly cluster: NatsCluster | undefined;
};

/**
 * Starts everything, and answers when all of it is ready and `run.json` is written. Closing it stops the processes in
 * reverse order and removes `run.json`.
 * @throws when the data directory is in use, a part is missing, or a process does not become ready
 */
export async function startMillrace(options: MillraceOptions): Promise<Millrace> {
  await using stack = new AsyncDisposableStack();
  const dataDir = stack.use(await openDataDir(options.dataDir));
  const runFile = dataDir.file("run.json");
  removeRunFile(runFile); // of a runner that was killed
  const { token } = readSecrets(dataDir.file("secrets"), ["token"]);
  writeAtomically(dataDir.file("secrets", "authorization"), authorizationHeader(token));
  const modelsDir = dataDir.file("models");
  const models = gatherModels([path.join(repositoryRoot, "models"), ...options.models], modelsDir);

  mkdirSync(dataDir.file("ledger"), { recursive: true, mode: 0o700 });

  const parts: Parts = {
    options,
    dataDir,
    reaper: stack.use(startReaper()),
    processes: new Map(),
    publish: () => {},
  };
  const azure = await azurePlace(dataDir, await localCertificate(dataDir.file("tls")), options.secrets);
  const serviceBus = await serviceBusPlace(dataDir, azure, { port: options.ports.amqp, demo: options.demo });
  const cluster = options.cluster ? await startCluster(parts, stack) : undefined;
  const nats = cluster ?? (await startNats(parts, stack));
  options.signal?.throwIfAborted();
  const httpPort = await freePortFrom(options.ports.http);
  const around: Surroundings = {
    dataDir,
    nats,
    httpPort,
    modelsDir,
    tokensFile: writeConfig(dataDir, "tokens.json", tokensFile(token)),
    rulesFile: writeConfig(dataDir, "rules.json", { rules: options.rules(azure.keyVault) }),
    routesFile: writeConfig(dataDir, "routes.json", ROUTES),
    serviceBus,
    azure,
    env: options.env ?? {},
  };
  await provisionAndStart(parts, stack, around);

  const run = (): Run => ({
    http: `http://127.0.0.1:${httpPort}`,
    nats: nats.urlFor("operator"),
    serviceBus: {
      connectionString: serviceBus.connectionString,
      topic: TOPIC,
      subscription: SUBSCRIPTIONS.enterprise,
      certificateFile: serviceBus.certificate.certificateFile,
    },
    azure: {
      keyVault: azure.keyVault,
      identity: { endpoint: azure.identity.endpoint, header: azure.headerOf("operator") },
      certificateFile: azure.certificate.certificateFile,
    },
    token,
    tenant: TENANT,
    project: PROJECT,
    models,
    processes: pidsOf(parts.processes),
  });
  stack.defer(() => {
    parts.publish = () => {};
    removeRunFile(runFile);
  });
  parts.publish = () => writeRunFile(runFile, run());
  parts.publish();

  const owned = stack.move();
  return {
    get run() {
      return run();
    },
    runFile,
    dataDir,
    processes: parts.processes,
    cluster,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

type Parts = {
  options: MillraceOptions;
  dataDir: DataDir;
  reaper: Reaper;
  processes: Map<string, ManagedProcess>;
  /** Brings `run.json` up to date; does nothing until everything is ready. */
  publish: () => void;
};

async function startNats(parts: Parts, stack: AsyncDisposableStack): Promise<Broker> {
  const nats = stack.use(
    await startNatsServer({
      dataDir: parts.dataDir.path,
      port: parts.options.ports.nats,
      users: USERS,
      supervise: true,
      reaper: parts.reaper,
      logFile: await logFile(parts.dataDir, "nats-server"),
      onChange: changes(parts, "nats-server"),
    }),
  );
  parts.processes.set("nats-server", nats.process);
  return nats;
}

async function startCluster(parts: Parts, stack: AsyncDisposableStack): Promise<NatsCluster> {
  const cluster = stack.use(
    await startNatsCluster({
      dataDir: parts.dataDir.path,
      port: parts.options.ports.nats,
      users: USERS,
      supervise: true,
      reaper: parts.reaper,
      logFile: (node) => logFile(parts.dataDir, node),
      onChange: (node, change) => changes(parts, node)(change),
    }),
  );
  for (const { name, server } of cluster.nodes) parts.processes.set(name, server.process);
  return cluster;
}

/**
 * Services start on a broker that has the streams and buckets. A data directory that was provisioned by the same code
 * has them already: there the job runs beside the services, which saves a second.
 */
async function provisionAndStart(parts: Parts, stack: AsyncDisposableStack, around: Surroundings): Promise<void> {
  const stamp = parts.dataDir.file("provisioned");
  const code = ["packages/contracts/src/streams.ts", "packages/bus/src/provision.ts"];
  const replicas = replicasOf(parts.options);
  const digest = `${replicas} ${digestOfFiles(code.map((file) => path.join(repositoryRoot, file)))}`;
  if (readIfThere(stamp) === digest) {
    const results = await Promise.allSettled([startServices(parts, stack, around), provision(parts, around.nats)]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    return;
  }
  await provision(parts, around.nats);
  writeAtomically(stamp, digest);
  parts.options.signal?.throwIfAborted();
  await startServices(parts, stack, around);
}

/** Makes the streams and buckets, and writes down what the broker guarantees. */
async function provision({ options, dataDir, reaper }: Parts, nats: Broker): Promise<void> {
  await runJob({
    name: "provision",
    command: process.execPath,
    args: [path.join(repositoryRoot, "packages/bus/src/provision-main.ts")],
    env: {
      ...baseEnvironment(),
      ...natsSettings("operator", nats),
      NATS_SYSTEM_USER: SYSTEM_USER,
      NATS_SYSTEM_PASSWORD: nats.passwordOf(SYSTEM_USER),
      REPLICAS: String(replicasOf(options)),
      ...options.env,
    },
    logFile: await logFile(dataDir, "provision"),
    reaper,
    timeout_ms: 60_000,
  });
}

const replicasOf = ({ cluster }: Pick<Options, "cluster">) => (cluster ? 3 : 1);

/** The slowest first: models take longest to be ready, and two cores have to do for all. */
const START_ORDER = [
  "inference",
  "ingest",
  "bridge",
  "notifier",
  "audit",
  "keeper",
] as const satisfies readonly ServiceName[];

/** All at once: they wait for each other only through messages. Stopped in reverse order of flow, ingest last to go up. */
async function startServices(parts: Parts, stack: AsyncDisposableStack, around: Surroundings): Promise<void> {
  const azure = stack.use(await managed(parts, "azure", async () => launchAzure(around.azure, around.env)));
  const serviceBus = await managed(parts, "servicebus", async () => launchServiceBus(around.serviceBus, around.env));
  stack.use(serviceBus);
  const services = new Map<ServiceName, ManagedProcess>();
  for (const name of [...SERVICE_NAMES].reverse()) {
    services.set(name, stack.use(await managed(parts, name, () => launchService(name, around))));
  }
  const ordered = [azure, serviceBus, ...START_ORDER.map((name) => services.get(name)!)];
  const results = await Promise.allSettled(ordered.map((process) => process.start(parts.options.signal)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function managed(parts: Parts, name: string, launch: ConstructorParameters<typeof ManagedProcess>[0]["launch"]) {
  const process = new ManagedProcess({
    name,
    launch,
    logFile: await logFile(parts.dataDir, name),
    reaper: parts.reaper,
    restart: true,
    onChange: changes(parts, name),
  });
  parts.processes.set(name, process);
  return process;
}

const changes = (parts: Parts, name: string) => (change: ProcessChange) => {
  parts.dataDir.recordProcesses(Object.values(pidsOf(parts.processes)));
  parts.publish();
  parts.options.onChange?.(name, change);
};

function pidsOf(processes: ReadonlyMap<string, ManagedProcess>): Record<string, number> {
  const running = [...processes].flatMap(([name, { pid }]) => (pid === undefined ? [] : [[name, pid] as const]));
  return Object.fromEntries(running);
}

async function logFile(dataDir: DataDir, name: string): Promise<string> {
  const file = dataDir.file("logs", `${name}.log`);
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  await rotate(file);
  return file;
}

function digestOfFiles(files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest("hex");
}

function writeConfig(dataDir: DataDir, name: string, value: unknown): string {
  const file = dataDir.file("config", name);
  writeAtomically(file, jsonText(value));
  return file;
}
