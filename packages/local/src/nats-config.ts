import type { UserPermissions } from "@millrace/contracts";
import { natsAccounts } from "@millrace/contracts/nats-users";

export { SYSTEM_USER } from "@millrace/contracts/nats-users";

/** Room for every stream's declared bound; the disk itself is the other limit. */
const STORE_BYTES_MAX = 32 * 1024 ** 3;

export type NatsConfig = {
  /** Unique in a cluster. */
  name: string;
  /** The address that clients and other nodes come in by. @default 127.0.0.1 */
  host?: string;
  port: number;
  /** Port of the HTTP side that tells health and stream leaders, on loopback. None without it. */
  monitorPort?: number;
  storeDir: string;
  users: Readonly<Record<string, UserPermissions>>;
  passwordOf: (user: string) => string;
  /** Write through to disk before acknowledging. Off, the server flushes every two minutes, as is its default. @default true */
  syncAlways?: boolean;
  cluster?: ClusterConfig;
};

/** A server's place among the others. */
export type ClusterConfig = {
  /** Where the others' routes come in. */
  port: number;
  /** The routes this server makes, as `host:port`. Each pair of servers needs one of them to make it. */
  routes: readonly string[];
  /** Shared by all nodes, so that no other process joins them. */
  password: string;
  /** The address that servers tell each other, instead of their own. */
  advertise?: string;
};

/**
 * The server's configuration. It is written as JSON, which nats-server's own format includes, so that a password or
 * a path can never be read as syntax. The file holds passwords: keep it private.
 */
export function natsConfig(options: NatsConfig): string {
  const { name, port, storeDir, users, passwordOf, syncAlways = true, cluster, monitorPort } = options;
  const { host = "127.0.0.1" } = options;
  const config = {
    server_name: name,
    host,
    port,
    ...(monitorPort === undefined ? {} : { http: `127.0.0.1:${monitorPort}` }),
    jetstream: {
      store_dir: storeDir,
      ...(syncAlways ? { sync_interval: "always" } : {}),
      max_file_store: STORE_BYTES_MAX,
      max_memory_store: 64 * 1024 ** 2,
    },
    max_payload: 8 * 1024 * 1024,
    system_account: "SYS",
    accounts: natsAccounts(passwordOf, users),
    ...(cluster ? clusterSection(host, cluster) : {}),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

const ROUTE_USER = "route";

function clusterSection(host: string, { port, routes, password, advertise }: ClusterConfig) {
  return {
    cluster: {
      name: "millrace",
      host,
      port,
      authorization: { user: ROUTE_USER, password },
      routes: routes.map((route) => `nats://${ROUTE_USER}:${password}@${route}`),
      ...(advertise === undefined ? {} : { advertise }),
      // Clients have a list of all nodes; addresses that only nodes can reach are no use to them.
      no_advertise: true,
    },
  };
}
