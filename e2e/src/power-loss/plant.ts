import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Bus, connectBus, provision, readSyncAlways, recordDurability } from "@millrace/bus";
import { type TokensFile, USERS } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { freePort, ManagedProcess, type NatsServer, startNatsServer, startReaper } from "@millrace/local";
import { type DirectoryRule, type Loss, mountPowerLossDisk } from "./power-loss-disk.ts";

/** `always`: Millrace's own setting. `periodic`: nats-server's default, fsync every two minutes. */
export type SyncInterval = "always" | "periodic";

export type PlantOptions = { seed: number; directories: DirectoryRule; syncInterval: SyncInterval };

/** nats-server with its store on a disk that can lose its power, and ingest and inference on a machine that does not. */
export type Plant = AsyncDisposable & {
  /** Where requests go: `POST <url>/v1/<tenant>/<project>/models/<model>/requests`. */
  readonly http: string;
  readonly token: string;
  readonly tenant: string;
  readonly project: string;
  /** A connection with all rights, to look at what the broker holds and says. */
  readonly operator: Bus;
  /** The machine of the broker loses its power. Answers when nats-server has ended. */
  losePower(): Promise<Loss>;
  /** Its power is back: nats-server starts on what the disk still holds. */
  restorePower(): Promise<void>;
};

const root = fileURLToPath(new URL("../../..", import.meta.url));
const TENANT = "demo";
const PROJECT = "plant-a";
const log = createLogger("power-loss", "silent"); // lost connections are what this is about

export async function openPlant({ seed, directories, syncInterval }: PlantOptions): Promise<Plant> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), "millrace-power-loss-run-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const store = path.join(directory, "nats"); // where startNatsServer puts JetStream's files
  await mkdir(store);
  const disk = stack.use(await mountPowerLossDisk({ at: store, seed, directories }));
  const reaper = stack.use(startReaper());
  const nats = stack.use(await startNatsServer({ dataDir: directory, users: USERS, reaper }));
  if (syncInterval === "periodic") await syncPeriodically(nats, path.join(directory, "nats-server.conf"));

  const as = (user: string) => connectBus({ url: nats.url, user, password: nats.passwordOf(user), log });
  const operator = stack.use(await as("operator"));
  await provision(operator, { replicas: 1 });
  {
    await using system = await as("system");
    const { syncAlways } = await readSyncAlways(system);
    if (syncAlways !== (syncInterval === "always")) throw new Error("nats-server does not sync as asked");
    await recordDurability(operator, { syncAlways, replicas: 1, evidence: "power loss" });
  }

  const service = async (name: "ingest" | "inference", env: Record<string, string>) => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const process_ = stack.use(
      new ManagedProcess({
        name,
        launch: async () => ({
          command: process.execPath,
          args: [path.join(root, "services", name, "src/main.ts")],
          env: {
            PATH: process.env.PATH ?? "",
            NATS_URL: nats.url,
            NATS_USER: name,
            NATS_PASSWORD: nats.passwordOf(name),
            HTTP_PORT: String(port),
            ...(name === "ingest" ? {} : { HEALTH_PORT: String(port) }), // ingest tells its health on its HTTP port too
            DURABILITY: syncInterval === "always" ? "fsync" : "memory",
            ...env,
          },
          isReady: async () => (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1_000) })).ok,
        }),
        logFile: path.join(directory, "logs", `${name}.log`),
        reaper,
        restart: false,
        ready_ms_max: 60_000,
      }),
    );
    await process_.start();
    return url;
  };

  const token = randomBytes(24).toString("base64url");
  const tokensFile = path.join(directory, "tokens.json");
  await writeFile(tokensFile, JSON.stringify(tokens(token)));
  await service("inference", { MODELS_DIR: path.join(root, "models") });
  const http = await service("ingest", { TOKENS_FILE: tokensFile });
  // Where nats-server does not even save its streams, those are taken to be old enough for the kernel to have done it:
  // what is looked at is what was accepted a moment ago.
  if (syncInterval === "periodic" || directories === "strict") await disk.save();

  const owned = stack.move();
  return {
    http,
    token,
    tenant: TENANT,
    project: PROJECT,
    operator,
    async losePower() {
      const loss = await disk.cut(nats.pid!);
      await nats.process.stop(); // waits for its end
      return loss;
    },
    async restorePower() {
      await disk.restore();
      await nats.process.start();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Takes out of the configuration what makes Millrace's broker safe, and starts the server again. */
async function syncPeriodically(nats: NatsServer, file: string): Promise<void> {
  const config = JSON.parse(await readFile(file, "utf8")) as { jetstream: { sync_interval?: string } };
  delete config.jetstream.sync_interval;
  await writeFile(file, JSON.stringify(config));
  await nats.restart();
}

const tokens = (token: string): TokensFile => [
  {
    sha256: createHash("sha256").update(token).digest("hex"),
    principal: "power-loss",
    grants: [{ tenant: TENANT, project: PROJECT, verbs: ["submit", "read"] }],
  },
];
