import { setTimeout } from "node:timers/promises";
import { inboxPrefix } from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import { connect, type JetStreamClient, type JetStreamManager, type NatsConnection, type StoredMsg } from "nats";
import { createCommitter } from "./commit.ts";
import { lastUnder } from "./last-under.ts";
import type { Outgoing, Stored } from "./outgoing.ts";
import { publishSingle } from "./publish.ts";
import { wait } from "./wait.ts";

export type BusOptions = {
  /** One or more `nats://host:port`, comma-separated: the nodes of one cluster. */
  url: string;
  /** NATS user; also the inbox prefix and the connection's name in server logs. */
  user: string;
  password: string;
  log: Logger;
  /** How long to wait for the first connection. Later ones are retried for as long as the process lives. */
  connect_timeout_ms?: number;
  /** So many messages waiting to be stored make a batch; Infinity for none ever. @default 8 */
  batch_min?: number;
};

/** A connection to the broker. Closing it drains: what was published is flushed before the socket goes. */
export type Bus = AsyncDisposable & {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  /** The client has direct gets; its published type leaves them out. */
  readonly jsm: JetStreamManager & { readonly direct: DirectGet };
  readonly user: string;
  readonly log: Logger;
  /** False while the connection is down; it comes back by itself. */
  readonly connected: boolean;
  /**
   * Stores a message if the last one under its `exclusive` filter is the one it expects, by default none; concurrent
   * calls share a batch.
   * @throws StorageFullError, UnconfirmedError
   */
  store(message: Outgoing): Promise<Stored>;
  /** Calls back after each reconnection, when live subscriptions may have missed messages. */
  onReconnect(callback: () => void): Disposable;
};

type DirectGet = { getMessage(stream: string, query: { last_by_subj: string }): Promise<StoredMsg> };

const RECONNECT_WAIT_MS = 250;
/** Two missed pings are a dead connection: a node that is cut off is left after five seconds. */
const PING_INTERVAL_MS = 2_000;

/**
 * Connects as a user of the permission table.
 * @throws when no server can be reached within the time, naming the servers and the last reason; at once when the
 *   server refuses the user.
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const { user, log } = options;
  const nc = await firstConnection(options);
  const listeners = new Set<() => void>();
  let connected = true;

  const watch = async () => {
    for await (const status of nc.status()) {
      if (status.type === "disconnect") connected = false;
      if (status.type === "reconnect") {
        connected = true;
        for (const listener of listeners) listener();
      }
      const level = status.type === "disconnect" || status.type === "error" ? "warn" : "debug";
      log[level]({ nats: status.type, data: String(status.data) }, "nats connection");
    }
    connected = false;
  };
  watch().catch((err: unknown) => log.error({ err }, "nats status ended"));

  const js = nc.jetstream({ timeout: 5_000 });
  const jsm = (await nc.jetstreamManager({ checkAPI: false, timeout: 5_000 })) as Bus["jsm"];
  const committer = createCommitter({
    nc,
    log,
    single: (message, headers) => publishSingle({ nc, js, log }, message, headers),
    lastUnder: (stream, filters) => lastUnder({ nc, user }, stream, filters),
    ...(options.batch_min === undefined ? {} : { batchMin: options.batch_min }),
  });

  return {
    nc,
    js,
    store: committer.store,
    jsm,
    user,
    log,
    get connected() {
      return connected && !nc.isClosed();
    },
    onReconnect(callback) {
      listeners.add(callback);
      return { [Symbol.dispose]: () => void listeners.delete(callback) };
    },
    async [Symbol.asyncDispose]() {
      // A drain waits for the server; when there is none, closing is all that is left.
      if (connected) await Promise.race([nc.drain().catch(() => {}), setTimeout(2_000, undefined, { ref: false })]);
      await nc.close();
    },
  };
}

async function firstConnection({ url, user, password, connect_timeout_ms = 30_000 }: BusOptions) {
  const deadline = Date.now() + connect_timeout_ms;
  for (;;) {
    try {
      return await connect({
        servers: url.split(",").map((server) => server.trim()),
        user,
        pass: password,
        name: user,
        inboxPrefix: inboxPrefix(user),
        maxReconnectAttempts: -1,
        reconnectTimeWait: RECONNECT_WAIT_MS,
        pingInterval: PING_INTERVAL_MS,
        timeout: 5_000,
        noAsyncTraces: true, // else each request takes a stack trace with it, in case it fails
        ignoreAuthErrorAbort: true, // a server that restarts may refuse for a moment; keep trying
      });
    } catch (cause) {
      const code = (cause as { code?: string }).code;
      if (code === "AUTHORIZATION_VIOLATION" || code === "AUTHENTICATION_EXPIRED")
        throw new Error(`NATS at ${url} refused user "${user}": check NATS_USER and NATS_PASSWORD`, { cause });
      if (Date.now() >= deadline)
        throw new Error(`no NATS server answered at ${url} within ${connect_timeout_ms} ms: is it running?`, { cause });
      await wait(Math.min(RECONNECT_WAIT_MS, Math.max(0, deadline - Date.now())));
    }
  }
}
