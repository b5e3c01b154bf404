import { randomBytes, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createSecureContext } from "node:tls";
import { accessKeysOf } from "./adapters/access-keys.ts";
import { Administration } from "./adapters/administration.ts";
import { AmqpServer } from "./adapters/amqp-server.ts";
import { Authority } from "./adapters/authority.ts";
import { Control, checkControlToken } from "./adapters/control.ts";
import { EntraTokens } from "./adapters/entra-tokens.ts";
import { FrontDoor } from "./adapters/front-door.ts";
import { keptCertificate } from "./adapters/kept-certificate.ts";
import type { Certificate } from "./adapters/local-certificate.ts";
import { ALL_RIGHTS } from "./adapters/rights.ts";
import { readOffered } from "./adapters/sections.ts";
import { SqliteJournal } from "./adapters/sqlite-journal.ts";
import type { BrokerConfig } from "./config.ts";
import { volatileJournal } from "./domain/journal.ts";
import { Namespace } from "./domain/namespace.ts";
import type { QueueCounts, Surroundings } from "./domain/queue.ts";
import { EntityCatalog } from "./entity-catalog.ts";
import { checkEntraSettings, type EntraSettings } from "./entra-settings.ts";
import { Faults } from "./faults/faults.ts";
import { IdleEntities } from "./idle-entities.ts";
import { type EntityReport, inspectAll, inspectOne } from "./inspection.ts";
import { planNamespace } from "./planning.ts";

export interface StartOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly config: BrokerConfig;
  /** A folder for everything that must survive a restart; without one the broker keeps its messages in memory. */
  readonly dataDir?: string;
  /** The key of `RootManageSharedAccessKey`; random when not given. */
  readonly sharedAccessKey?: string;
  /** Whose tokens are accepted besides the key's signatures; none unless given. */
  readonly entra?: EntraSettings;
  /** PEM; one that the broker makes for itself unless given. */
  readonly tls?: Certificate;
  /** Opens `/$emulator/…` on the same port, to whoever has it (16 characters or more); closed unless given. */
  readonly controlToken?: string;
  /** Called once when the broker can promise nothing any more (its disk is full, say); by default the process ends. */
  readonly onFatal?: (error: unknown) => void;
}

export interface Broker extends AsyncDisposable {
  readonly port: number;
  /** For the Azure SDKs; it holds the key. */
  readonly connectionString: string;
  /** PEM; clients that use TLS (those for administration always do) must trust it. */
  readonly certificate: string;
  /** Counts of a queue, a subscription (`topic/Subscriptions/name`) or a dead-letter queue. @throws when unknown */
  inspect(entity: string): QueueCounts;
  /** What every queue, topic and subscription holds. */
  entities(): EntityReport[];
  /** What is to go wrong. */
  readonly faults: Pick<Faults, "set" | "clear" | "list">;
  /** Back to the configuration: no messages, no history, no faults, nothing made at run time; links are dropped. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

const KEY_NAME = "RootManageSharedAccessKey";
const HTTP_IDLE_MS = 120_000;
const IDLE_CHECK_MS = 10_000;

/**
 * Starts a local Azure Service Bus namespace.
 * @throws BrokerConfigError naming every mistake in `config` or in `entra`
 * @throws Error when the port is taken, or another broker has the data folder open
 */
export async function start(options: StartOptions): Promise<Broker> {
  planNamespace(options.config); // every mistake in it is told before anything is opened
  if (options.controlToken !== undefined) checkControlToken(options.controlToken);
  const entra = options.entra && new EntraTokens({ settings: checkEntraSettings(options.entra), now: Date.now });
  const key = options.sharedAccessKey ?? randomBytes(32).toString("base64");
  const rootKey = { name: KEY_NAME, key, rights: ALL_RIGHTS, scope: "" };
  const journal = options.dataDir === undefined ? undefined : openJournal(options.dataDir);
  const around = {
    now: Date.now,
    newLockToken: () => randomUUID(),
    journal: journal ?? volatileJournal,
    read: readOffered,
  };
  const { catalog, namespace } = populate(options.config, journal, around);
  const authority = new Authority({
    accessKeys: () => [rootKey, ...accessKeysOf(catalog.authorizationRules())],
    entra,
    now: Date.now,
  });
  const certificate = options.tls ?? keptCertificate(options);

  const faults = new Faults({ now: Date.now });
  const controls = {
    faults,
    entities: () => inspectAll({ catalog, namespace }),
    entity: (path: string) => inspectOne({ catalog, namespace }, path),
    reset() {
      faults.clear();
      server.dropLinks();
      catalog.reset();
    },
  };
  const afterCommit = (answer: () => void) => server.afterCommit(answer);
  const control =
    options.controlToken === undefined
      ? undefined
      : new Control({ token: options.controlToken, controls, afterCommit });
  const administration = new Administration({
    catalog,
    namespace,
    authority,
    now: Date.now,
    afterCommit,
  });
  const http = createServer((request, response) => {
    if (control && Control.owns(request)) void control.handle(request, response);
    else administration.handle(request, response);
  });
  const door = new FrontDoor({
    secureContext: createSecureContext(certificate),
    amqp: (socket) => server.accept(socket),
    http: http.setTimeout(HTTP_IDLE_MS),
    isRefused: () => faults.strike("refuse", "", ({ entity }) => entity === undefined) !== undefined,
  });
  const server: AmqpServer = new AmqpServer({
    namespace,
    authority,
    journal: around.journal,
    now: Date.now,
    onFatal: options.onFatal ?? rethrow,
    door,
    faults,
  });
  const idle = new IdleEntities({ catalog, namespace, now: Date.now });
  const idleTimer = setInterval(() => {
    if (idle.remove().length > 0) server.afterCommit(() => {}); // what was written with it is committed
  }, IDLE_CHECK_MS).unref();
  const port = await server.listen(options.port, options.host).catch((cause: NodeJS.ErrnoException) => {
    journal?.close();
    if (cause.code !== "EADDRINUSE") throw cause;
    throw new Error(`Port ${options.port} on ${options.host} is taken; choose another one with --port.`, { cause });
  });

  let closing: Promise<void> | undefined;
  const close = () => {
    clearInterval(idleTimer);
    faults.clear();
    closing ??= server.close().finally(() => journal?.close());
    return closing;
  };
  return {
    port,
    connectionString: [
      `Endpoint=sb://${options.host}:${port}`,
      `SharedAccessKeyName=${KEY_NAME}`,
      `SharedAccessKey=${key}`,
      "UseDevelopmentEmulator=true;", // plain TCP: the SDKs otherwise insist on TLS
    ].join(";"),
    certificate: certificate.cert,
    inspect(entity) {
      const queue = namespace.queue(entity);
      if (!queue) throw new Error(`There is no queue or subscription named ${entity}.`);
      return queue.counts();
    },
    entities: controls.entities,
    faults,
    reset() {
      controls.reset();
      return new Promise((resolve) => server.afterCommit(resolve));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The entities of the configuration and those made since, with what they hold. */
function populate(config: BrokerConfig, journal: SqliteJournal | undefined, around: Surroundings) {
  try {
    const catalog = new EntityCatalog({
      config,
      changes: journal?.entities() ?? [],
      now: around.now,
      keep: (change) => journal?.writeEntity(change),
      forgetChanges: () => journal?.forgetEntities(),
    });
    const namespace = new Namespace(catalog.plan(), around);
    catalog.govern(namespace);
    journal?.restore(namespace, around.now());
    return { catalog, namespace };
  } catch (error) {
    journal?.close();
    throw error;
  }
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
