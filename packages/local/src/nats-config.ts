import type { UserPermissions } from "@millrace/contracts";

/** Room for every stream's declared bound; the disk itself is the other limit. */
const STORE_BYTES_MAX = 32 * 1024 ** 3;

export type NatsConfig = {
  /** Unique in a cluster. */
  name: string;
  port: number;
  storeDir: string;
  users: Readonly<Record<string, UserPermissions>>;
  passwordOf: (user: string) => string;
  systemUser: string;
  /** Write through to disk before acknowledging. Off, the server flushes every two minutes, as is its default. @default true */
  syncAlways?: boolean;
  cluster?: ClusterConfig;
};

/** A server's place among the others. */
export type ClusterConfig = {
  /** Where the others' routes come in. */
  port: number;
  /** The routes this server makes, as ports. Each pair of servers needs one of them to make it. */
  routes: readonly number[];
  /** Shared by all nodes, so that no other process of this machine joins them. */
  password: string;
  /** Port of the HTTP side that tells health and stream leaders. */
  monitorPort: number;
};

/**
 * The server's configuration. It is written as JSON, which nats-server's own format includes, so that a password or
 * a path can never be read as syntax. The file holds passwords: keep it private.
 */
export function natsConfig(options: NatsConfig): string {
  const { name, port, storeDir, users, passwordOf, systemUser, syncAlways = true, cluster } = options;
  const config = {
    server_name: name,
    host: "127.0.0.1",
    port,
    jetstream: {
      store_dir: storeDir,
      ...(syncAlways ? { sync_interval: "always" } : {}),
      max_file_store: STORE_BYTES_MAX,
      max_memory_store: 64 * 1024 ** 2,
    },
    max_payload: 8 * 1024 * 1024,
    system_account: "SYS",
    accounts: {
      MILLRACE: {
        jetstream: "enabled",
        users: Object.entries(users).map(([user, granted]) => ({
          user,
          password: passwordOf(user),
          permissions: permissions(granted),
        })),
      },
      SYS: { users: [{ user: systemUser, password: passwordOf(systemUser) }] },
    },
    ...(cluster ? clusterSection(cluster) : {}),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

const ROUTE_USER = "route";

function clusterSection({ port, routes, password, monitorPort }: ClusterConfig) {
  return {
    http: `127.0.0.1:${monitorPort}`,
    cluster: {
      name: "millrace",
      host: "127.0.0.1",
      port,
      authorization: { user: ROUTE_USER, password },
      routes: routes.map((route) => `nats://${ROUTE_USER}:${password}@127.0.0.1:${route}`),
      // Only the ways stated here, none learnt from the others: those would lead past a cut. The address that servers
      // tell each other is one where nobody listens (port 1, tcpmux), and clients are told of no other server.
      advertise: "127.0.0.1:1",
      no_advertise: true,
    },
  };
}

/** A list in `allow` denies everything else; an empty list denies all of it. */
function permissions({ publish, subscribe, allowResponses }: UserPermissions) {
  const only = (subjects: readonly string[]) => (subjects.length > 0 ? { allow: subjects } : { deny: [">"] });
  return {
    publish: only(publish),
    subscribe: only(subscribe),
    // As long as the slowest answer may take: the books of millions of requests.
    ...(allowResponses ? { allow_responses: { max: 1, expires: "6m" } } : {}),
  };
}
