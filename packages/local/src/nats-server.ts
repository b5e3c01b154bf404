import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import path from "node:path";
import type { UserPermissions } from "@millrace/contracts";
import { findBinary } from "./binaries.ts";
import { type ClusterConfig, natsConfig, SYSTEM_USER } from "./nats-config.ts";
import { ManagedProcess, type ProcessChange } from "./processes/managed-process.ts";
import { freePortFrom } from "./processes/ports.ts";
import { type Reaper, startReaper } from "./processes/reaper.ts";
import { readSecrets } from "./secrets.ts";

export type NatsServerOptions = {
  /** Its process name, and its server name. @default "nats-server" */
  name?: string;
  /** Holds the configuration, the passwords and the JetStream store; they survive a restart. */
  dataDir: string;
  /** 0 for any free port; a taken one is an error only when the server cannot listen. */
  port?: number;
  /** Who may connect, each with a password of its own and default-deny permissions. */
  users: Readonly<Record<string, UserPermissions>>;
  /** Where the passwords are. @default `secrets` in the data directory */
  secretsDir?: string;
  /** Acknowledge what is on disk, not what will be. @default true */
  syncAlways?: boolean;
  /** Its place in a cluster; without one it stands alone. */
  cluster?: ClusterConfig;
  /** Where its HTTP side tells health and stream leaders; without one it does not. */
  monitorPort?: number;
  /** Start the server again when it dies. */
  supervise?: boolean;
  /** The caller's, when it has one already. */
  reaper?: Reaper;
  logFile?: string;
  onChange?: (change: ProcessChange) => void;
};

/** A running nats-server with JetStream on loopback, one account for Millrace and one for the system. */
export type NatsServer = AsyncDisposable & {
  /** `nats://127.0.0.1:<port>`, without a user. */
  readonly url: string;
  readonly port: number;
  readonly pid: number | undefined;
  readonly process: ManagedProcess;
  passwordOf(user: string): string;
  /** The URL with user and password in it. */
  urlFor(user: string): string;
  /** Ends it if it runs (SIGTERM) and starts it again on the same port and store. */
  restart(): Promise<void>;
  /** Ends it as a crash would (SIGKILL). */
  kill(): Promise<void>;
  close(): Promise<void>;
};

/**
 * Starts a nats-server whose acknowledgements mean "on disk" (`sync_interval: always`) unless told otherwise.
 * @throws when there is no binary, or the server does not answer within 30 s; the message ends with its log
 */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const { dataDir, users, name = "nats-server", secretsDir = path.join(dataDir, "secrets") } = options;
  const binary = findBinary("nats-server");
  const port = await freePortFrom(options.port ?? 0);
  const secrets = readSecrets(secretsDir, [...Object.keys(users), SYSTEM_USER].map(secretName));
  const passwordOf = (user: string): string => {
    const password = secrets[secretName(user)];
    if (password === undefined) throw new Error(`there is no NATS user "${user}"`);
    return password;
  };
  const config = path.join(dataDir, "nats-server.conf");
  const storeDir = path.join(dataDir, "nats");
  mkdirSync(storeDir, { recursive: true, mode: 0o700 });
  writePrivate(
    config,
    natsConfig({
      name,
      port,
      storeDir,
      users,
      passwordOf,
      ...(options.syncAlways === undefined ? {} : { syncAlways: options.syncAlways }),
      ...(options.cluster ? { cluster: options.cluster } : {}),
      ...(options.monitorPort === undefined ? {} : { monitorPort: options.monitorPort }),
    }),
  );

  await using stack = new AsyncDisposableStack();
  const reaper = options.reaper ?? stack.use(startReaper());
  const server = stack.use(
    new ManagedProcess({
      name,
      launch: async () => ({
        command: binary,
        args: ["-c", config],
        env: { PATH: process.env.PATH ?? "" },
        isReady: () => answers(port),
      }),
      logFile: options.logFile ?? path.join(dataDir, "logs", `${name}.log`),
      reaper,
      restart: options.supervise ?? false,
      ...(options.onChange ? { onChange: options.onChange } : {}),
    }),
  );
  await server.start();
  const owned = stack.move();

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return server.pid;
    },
    process: server,
    passwordOf,
    urlFor: (user) => `nats://${user}:${passwordOf(user)}@127.0.0.1:${port}`,
    async restart() {
      await server.stop();
      await server.start();
    },
    kill: () => server.kill(),
    close: () => owned.disposeAsync(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const secretName = (user: string) => `nats-${user}`;

/** The server greets with `INFO {…}` once JetStream has recovered its streams. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => end(false));
    socket.once("data", (bytes) => end(bytes.toString().startsWith("INFO ")));
    socket.once("error", () => end(false));
  });
}

function writePrivate(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  writeFileSync(file, text, { mode: 0o600 });
}
