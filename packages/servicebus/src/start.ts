import { randomBytes, randomUUID } from "node:crypto";
import { AmqpServer } from "./adapters/amqp-server.ts";
import { readOffered } from "./adapters/sections.ts";
import { SqliteJournal } from "./adapters/sqlite-journal.ts";
import { type BrokerConfig, planNamespace } from "./config.ts";
import { volatileJournal } from "./domain/journal.ts";
import { Namespace } from "./domain/namespace.ts";
import type { QueueCounts } from "./domain/queue.ts";

export interface StartOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly config: BrokerConfig;
  /** A folder for everything that must survive a restart; without one the broker keeps its messages in memory. */
  readonly dataDir?: string;
  /** The key of `RootManageSharedAccessKey`; random when not given. */
  readonly sharedAccessKey?: string;
  /** Called once when the broker can promise nothing any more (its disk is full, say); by default the process ends. */
  readonly onFatal?: (error: unknown) => void;
}

export interface Broker extends AsyncDisposable {
  readonly port: number;
  /** For the Azure SDKs; it holds the key. */
  readonly connectionString: string;
  /** Counts of a queue, a subscription (`topic/Subscriptions/name`) or a dead-letter queue. @throws when unknown */
  inspect(entity: string): QueueCounts;
  close(): Promise<void>;
}

const KEY_NAME = "RootManageSharedAccessKey";

/**
 * Starts a local Azure Service Bus namespace.
 * @throws BrokerConfigError naming every mistake in `config`
 * @throws Error when the port is taken, or another broker has the data folder open
 */
export async function start(options: StartOptions): Promise<Broker> {
  const plan = planNamespace(options.config);
  const accessKey = { name: KEY_NAME, key: options.sharedAccessKey ?? randomBytes(32).toString("base64") };
  const journal = options.dataDir === undefined ? undefined : openJournal(options.dataDir);
  const around = {
    now: Date.now,
    newLockToken: () => randomUUID(),
    journal: journal ?? volatileJournal,
    read: readOffered,
  };
  const namespace = new Namespace(plan, around);
  journal?.restore(namespace, Date.now());

  const server = new AmqpServer({
    namespace,
    accessKey,
    journal: around.journal,
    now: Date.now,
    onFatal: options.onFatal ?? rethrow,
  });
  const port = await server.listen(options.port, options.host).catch((cause: NodeJS.ErrnoException) => {
    journal?.close();
    if (cause.code !== "EADDRINUSE") throw cause;
    throw new Error(`Port ${options.port} on ${options.host} is taken; choose another one with --port.`, { cause });
  });

  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= server.close().finally(() => journal?.close());
    return closing;
  };
  return {
    port,
    connectionString: [
      `Endpoint=sb://${options.host}:${port}`,
      `SharedAccessKeyName=${accessKey.name}`,
      `SharedAccessKey=${accessKey.key}`,
      "UseDevelopmentEmulator=true;", // plain TCP: the SDKs otherwise insist on TLS
    ].join(";"),
    inspect(entity) {
      const queue = namespace.queue(entity);
      if (!queue) throw new Error(`There is no queue or subscription named ${entity}.`);
      return queue.counts();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function openJournal(dataDir: string): SqliteJournal {
  try {
    return new SqliteJournal(dataDir);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new Error(`Cannot use ${dataDir} (${why}); is another broker running on it?`, { cause });
  }
}

function rethrow(error: unknown): never {
  throw error;
}
