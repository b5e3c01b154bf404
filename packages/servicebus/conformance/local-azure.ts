import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Broker, type BrokerConfig, start } from "../src/index.ts";
import { serveTokens } from "./token-route.ts";

/** What a suite needs to know of the local Azure it runs against. */
export interface LocalAzure extends AsyncDisposable {
  readonly host: string;
  readonly broker: Broker;
  /** What the SDKs' live tests read from the environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The SDKs connect there whatever the connection string says: AMQP in TLS, and HTTPS. */
const PORTS = [5671, 443];

/** As the SDK's own `test-resources.bicep` prepares a namespace. */
const QUEUE = { LockDuration: "PT5M", MaxDeliveryCount: 10 };
const key = () => randomBytes(32).toString("base64");
const KEYS = {
  NoManage: { KeyName: "NoManage", Rights: ["Listen", "Send"], PrimaryKey: key() },
  SendOnly: { KeyName: "SendOnly", Rights: ["Send"], PrimaryKey: key() },
  ListenOnly: { KeyName: "ListenOnly", Rights: ["Listen"], PrimaryKey: key() },
} as const;
const CONFIG = {
  UserConfig: {
    Namespaces: [
      {
        AuthorizationRules: Object.values(KEYS).map((rule) => ({ ...rule, Rights: [...rule.Rights] })),
        Queues: [
          { Name: "testQueue", Properties: QUEUE },
          { Name: "testQueueWithSessions", Properties: { ...QUEUE, RequiresSession: true } },
        ],
      },
    ],
  },
} satisfies BrokerConfig;

/** @throws Error when one of Azure's ports cannot be used on `host` */
export async function startLocalAzure(host: string): Promise<LocalAzure> {
  await using stack = new AsyncDisposableStack();
  const sharedAccessKey = key();
  const tokens = stack.use(await serveTokens());
  const broker = stack.use(await start({ port: 0, host, config: CONFIG, sharedAccessKey, entra: tokens.entra }));
  for (const port of PORTS) stack.use(await relay({ host, port, to: broker.port }));

  const folder = await mkdtemp(path.join(tmpdir(), "servicebus-conformance-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const certificateFile = path.join(folder, "certificate.pem");
  await writeFile(certificateFile, broker.certificate);

  const connectionString = (name: string, secret: string) =>
    `Endpoint=sb://${host}/;SharedAccessKeyName=${name};SharedAccessKey=${secret}`;
  const everything = connectionString("RootManageSharedAccessKey", sharedAccessKey);
  const fewer = (name: keyof typeof KEYS) => connectionString(name, KEYS[name].PrimaryKey);
  const owned = stack.move();
  return {
    host,
    broker,
    environment: {
      ...tokens.environment,
      AZURE_RECORD_MODE: "live",
      SERVICEBUS_ENDPOINT: host,
      SERVICEBUS_ENDPOINT_PREMIUM: host,
      SERVICEBUS_CONNECTION_STRING: everything,
      SERVICEBUS_CONNECTION_STRING_PREMIUM: everything,
      SERVICEBUS_CONNECTION_STRING_NO_MANAGE: fewer("NoManage"),
      SERVICEBUS_CONNECTION_STRING_SEND_ONLY: fewer("SendOnly"),
      SERVICEBUS_CONNECTION_STRING_LISTEN_ONLY: fewer("ListenOnly"),
      SSL_CERT_FILE: certificateFile,
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Passes connections on to the broker, which listens on one port only. */
async function relay({ host, port, to }: { host: string; port: number; to: number }): Promise<AsyncDisposable> {
  const server = createServer({ noDelay: true }, (client) => {
    const broker = connect({ host, port: to, noDelay: true });
    client.pipe(broker).pipe(client);
    client.on("error", () => broker.destroy()).on("close", () => broker.destroy());
    broker.on("error", () => client.destroy()).on("close", () => client.destroy());
  });
  server.listen({ host, port });
  await once(server, "listening").catch((cause: NodeJS.ErrnoException) => {
    const help = "the SDKs use no other one; --host takes another loopback address, such as 127.0.0.2";
    throw new Error(`Port ${port} on ${host} cannot be used (${cause.code}): ${help}.`, { cause });
  });
  return {
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}
