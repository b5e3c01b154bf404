/** For tests of the whole service: a real nats-server, a local Service Bus, and each as a process that can be killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openServiceBus } from "@millrace/azure";
import { connectBus, provision, recordDurability } from "@millrace/bus";
import { createLogger } from "@millrace/kit";
import { freePort, natsServer } from "@millrace/testkit";

export type Surroundings = Awaited<ReturnType<typeof surroundings>>;

const KEY = "a key for tests";
const LOG_CHARACTERS_MAX = 4_000_000;
const CONTROL_TOKEN = "a-token-for-what-goes-wrong";
/** A message too many would come right behind the others. */
const QUIET_MS = 500;
const log = createLogger("test", process.env.TEST_LOG_LEVEL ?? "silent");

/** Two topics with one subscription each; `small` takes messages of up to 4 KiB. */
const outboundEntities = {
  UserConfig: {
    Namespaces: [
      {
        Topics: [
          {
            Name: "predictions",
            Properties: { RequiresDuplicateDetection: true },
            Subscriptions: [{ Name: "enterprise" }],
          },
          {
            Name: "small",
            Properties: { RequiresDuplicateDetection: true, MaxMessageSizeInKilobytes: 4 },
            Subscriptions: [{ Name: "enterprise" }],
          },
        ],
      },
    ],
  },
};

/** @param entities in the form of the official emulator's Config.json */
export async function surroundings(entities: object = outboundEntities) {
  const stack = new AsyncDisposableStack();
  const dir = await mkdtemp(path.join(tmpdir(), "bridge-"));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const nats = stack.use(await natsServer());
  const as = async (user: string) =>
    stack.use(await connectBus({ url: nats.url, user, password: nats.passwordOf(user), log }));
  const operator = await as("operator");
  await provision(operator, { replicas: 1 });
  await recordDurability(operator, { syncAlways: true, replicas: 1, evidence: "test" });
  const inference = await as("inference");

  const port = await freePort();
  const dataDir = path.join(dir, "servicebus");
  const configFile = path.join(dir, "servicebus.json");
  await writeFile(configFile, JSON.stringify(entities));
  const connectionString = `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${KEY};UseDevelopmentEmulator=true`;
  const children = new Set<ChildProcess>();
  stack.defer(async () => {
    for (const child of children) await end(child, "SIGKILL");
  });
  const launch = (script: string, env: Record<string, string>) => {
    const stdio: ["ignore", "pipe", "inherit"] = ["ignore", "pipe", "inherit"];
    const child = spawn(process.execPath, [script], { env: { PATH: process.env.PATH ?? "", ...env }, stdio });
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
  };

  return {
    nats,
    operator,
    inference,
    connectionString,
    dir,
    /** As a namespace in Azure has it: over TLS. */
    tls: {
      connectionString: (key: string) =>
        `Endpoint=sb://localhost:${port}/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${key}`,
      /** There once Service Bus was started. */
      certificateFile: path.join(dataDir, "tls-certificate.pem"),
    },
    key: KEY,
    /** Starts a process that ends with the test. */
    launch,
    /** Starts Service Bus on the same port and folder each time. */
    async startServiceBus(env: Record<string, string> = {}): Promise<ChildProcess> {
      const script = path.join(import.meta.dirname, "../../../../packages/servicebus/src/main.ts");
      const settings = {
        CONFIG_FILE: configFile,
        PORT: String(port),
        DATA_DIR: dataDir,
        SHARED_ACCESS_KEY: KEY,
        CONTROL_TOKEN,
      };
      const child = launch(script, { ...settings, ...env });
      await line(child, (entry) => entry.event === "listening");
      return child;
    },
    /** Starts the bridge; `healthUrl` serves `/readyz` and `/metrics`. */
    async startBridge(
      settings: Record<string, string> = {},
    ): Promise<{ process: ChildProcess; healthUrl: string; log: () => string }> {
      const child = launch(path.join(import.meta.dirname, "../main.ts"), {
        NATS_URL: nats.url,
        NATS_PASSWORD: nats.passwordOf("bridge"),
        SERVICEBUS_CONNECTION_STRING: connectionString,
        LOG_LEVEL: "debug", // names the health port
        ...settings,
      });
      let log = "";
      child.stdout!.on("data", (bytes: Buffer) => {
        if (log.length < LOG_CHARACTERS_MAX) log += bytes.toString();
      });
      const { health_port } = await line(child, (entry) => "health_port" in entry);
      return { process: child, healthUrl: `http://127.0.0.1:${health_port}`, log: () => log };
    },
    async routesFile(routes: readonly object[]): Promise<string> {
      const file = path.join(dir, "routes.json");
      await writeFile(file, JSON.stringify({ routes }));
      return file;
    },
    /** Makes something go wrong at Service Bus: see the README of packages/servicebus. It ends by itself. */
    async fault(name: string, fault: object): Promise<void> {
      const answer = await fetch(`http://127.0.0.1:${port}/$emulator/faults/${name}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${CONTROL_TOKEN}` },
        body: JSON.stringify(fault),
      });
      if (!answer.ok) throw new Error(`the fault ${name}: ${answer.status} ${await answer.text()}`);
    },
    /** How often a fault has struck so far. */
    async struck(name: string): Promise<number> {
      const headers = { authorization: `Bearer ${CONTROL_TOKEN}` };
      const answer = await fetch(`http://127.0.0.1:${port}/$emulator/faults/${name}`, { headers });
      return ((await answer.json()) as { struck: number }).struck;
    },
    /** Deletes a topic with its subscriptions, or makes or changes one. */
    async administer(
      method: "DELETE" | "PUT",
      entity: string,
      { description, change = false }: { description?: string; change?: boolean } = {},
    ): Promise<void> {
      const answer = await fetch(`http://127.0.0.1:${port}/${entity}?api-version=2021-05`, {
        method,
        headers: {
          authorization: signature(`http://127.0.0.1:${port}/`),
          "content-type": "application/atom+xml",
          ...(change ? { "if-match": "*" } : {}),
        },
        ...(description === undefined ? {} : { body: atom(description) }),
      });
      if (!answer.ok) throw new Error(`${method} ${entity}: ${answer.status} ${await answer.text()}`);
    },
    /** What the durable consumer of a route has, as the server counts. */
    async consumer(route = "predictions") {
      return operator.jsm.consumers.info("OUTCOMES", `bridge-${route}`);
    },
    /**
     * Reads a topic's subscription until `expected` messages have come and no more follow: how many, and how many
     * different ones. What a crash doubled would show here.
     */
    async receive(expected: number, topic = "predictions", key = KEY): Promise<{ messages: number; distinct: number }> {
      await using serviceBus = await openServiceBus({ connectionString: connectionString.replace(KEY, key) });
      const seen = new Map<unknown, number>();
      let messages = 0;
      await using _reader = serviceBus.subscribe({ topic, subscription: "enterprise" }, ({ messageId }) => {
        seen.set(messageId, (seen.get(messageId) ?? 0) + 1);
        messages++;
      });
      const deadline = performance.now() + 30_000;
      while (messages < expected && performance.now() < deadline) await sleep(20);
      await sleep(QUIET_MS);
      return { messages, distinct: seen.size };
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Ends a process and answers its exit code. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
  return child.exitCode;
}

/** https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas */
function signature(resource: string): string {
  const expiry = Math.ceil(Date.now() / 1_000) + 600;
  const uri = encodeURIComponent(resource);
  const sig = createHmac("sha256", KEY).update(`${uri}\n${expiry}`).digest("base64");
  return `SharedAccessSignature sr=${uri}&sig=${encodeURIComponent(sig)}&se=${expiry}&skn=RootManageSharedAccessKey`;
}

const atom = (description: string): string =>
  `<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">${description}</content></entry>`;

/** The first JSON line of a process that fits. */
export function line(
  child: ChildProcess,
  fits: (entry: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  const timer = setTimeout(() => reject(new Error("the process was not ready within 15 seconds")), 15_000);
  void promise.finally(() => clearTimeout(timer)).catch(() => {});
  child.once("exit", (code) => reject(new Error(`the process ended with ${code} before it was ready`)));
  createInterface({ input: child.stdout! }).on("line", (text) => {
    if (process.env.TEST_SHOW_LOGS) console.info(text);
    const entry = JSON.parse(text) as Record<string, unknown>;
    if (fits(entry)) resolve(entry);
  });
  return promise;
}
