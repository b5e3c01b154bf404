import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { connectBus, openTable, provision, readSyncAlways, recordDurability } from "@millrace/bus";
import { ModelDeployment, type UserName } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { freePort, ManagedProcess, type NatsServer, startReaper } from "@millrace/local";
import { natsServer } from "@millrace/testkit";
import { profiling } from "./worker.ts";

/** A broker with Millrace's streams, and single services on it: to measure one without the others on the machine. */
export type Stage = AsyncDisposable & {
  readonly nats: NatsServer;
  readonly directory: string;
  /** The one token that ingest knows. */
  readonly token: string;
  /** Says in the models table that a model is deployed, without a worker that runs it. */
  deploy(deployment: ModelDeployment): Promise<void>;
  /** Starts a module of the repository as a process and waits until it answers. It ends with the stage, or before. */
  start(process: {
    name: string;
    module: string;
    env: Readonly<Record<string, string>>;
    isReady: () => Promise<boolean>;
  }): Promise<ManagedProcess>;
  /** One more ingest, with settings of its own. */
  startIngest(settings?: Readonly<Record<string, string>>): Promise<{ url: string; process: ManagedProcess }>;
  /** Starts a service that has nothing but a health port. */
  startService(name: "inference" | "keeper", settings?: Readonly<Record<string, string>>): Promise<ManagedProcess>;
};

export const TENANT = "bench";
export const PROJECT = "plant";

export const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));
const log = createLogger("bench", "warn");

/** Connects as a user of the permission table. */
export const connectAs = (nats: NatsServer, user: UserName | "system") =>
  connectBus({ url: nats.url, user, password: nats.passwordOf(user), log });

export async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(path.join(tmpdir(), "millrace-bench-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const nats = stack.use(await natsServer());
  const reaper = stack.use(startReaper());
  const operator = stack.use(await connectAs(nats, "operator"));
  await provision(operator, { replicas: 1 });
  {
    await using system = await connectAs(nats, "system");
    await recordDurability(operator, { ...(await readSyncAlways(system)), replicas: 1, evidence: "bench" });
  }
  const models = stack.use(await openTable(operator, "models", ModelDeployment));
  const token = randomBytes(24).toString("base64url");
  const tokensFile = path.join(directory, "tokens.json");
  const sha256 = createHash("sha256").update(token).digest("hex");
  const grants = [{ tenant: TENANT, project: PROJECT, verbs: ["submit", "read"] }];
  await writeFile(tokensFile, JSON.stringify([{ sha256, principal: "bench", grants }]));

  const owned = stack.move();
  const start: Stage["start"] = async ({ name, module, env, isReady }) => {
    const managed = owned.use(
      new ManagedProcess({
        name,
        launch: async () => ({
          command: process.execPath,
          args: [...profiling(), path.join(repositoryRoot, module)],
          env: { PATH: process.env.PATH ?? "", ...env },
          isReady,
        }),
        logFile: path.join(directory, `${name}.log`),
        reaper,
        restart: false,
      }),
    );
    await managed.start();
    return managed;
  };

  return {
    nats,
    directory,
    token,
    deploy: (deployment) => models.put(deployment.manifest.name, deployment),
    start,
    async startIngest(settings = {}) {
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      const env = {
        ...natsSettings(nats, "ingest"),
        HTTP_PORT: String(port),
        TOKENS_FILE: tokensFile,
        ...settings,
      };
      const isReady = () => answersOk(`${url}/readyz`);
      return {
        url,
        process: await start({ name: `ingest-${port}`, module: "services/ingest/src/main.ts", env, isReady }),
      };
    },
    async startService(name, settings = {}) {
      const port = await freePort();
      const env = {
        ...natsSettings(nats, name),
        NATS_SYSTEM_USER: "system",
        NATS_SYSTEM_PASSWORD: nats.passwordOf("system"),
        HEALTH_PORT: String(port),
        MODELS_DIR: path.join(repositoryRoot, "models"),
        ...settings,
      };
      const isReady = () => answersOk(`http://127.0.0.1:${port}/readyz`);
      return await start({ name, module: `services/${name}/src/main.ts`, env, isReady });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export const natsSettings = (nats: NatsServer, user: UserName): Record<string, string> => ({
  NATS_URL: nats.url,
  NATS_USER: user,
  NATS_PASSWORD: nats.passwordOf(user),
});

export async function answersOk(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
  await response.body?.cancel();
  return response.ok;
}
