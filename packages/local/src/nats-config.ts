import type { UserPermissions } from "@millrace/contracts";

/** Room for every stream's declared bound; the disk itself is the other limit. */
const STORE_BYTES_MAX = 32 * 1024 ** 3;

export type NatsConfig = {
  port: number;
  storeDir: string;
  users: Readonly<Record<string, UserPermissions>>;
  passwordOf: (user: string) => string;
  systemUser: string;
};

/**
 * The server's configuration. It is written as JSON, which nats-server's own format includes, so that a password or
 * a path can never be read as syntax. The file holds passwords: keep it private.
 */
export function natsConfig({ port, storeDir, users, passwordOf, systemUser }: NatsConfig): string {
  const config = {
    server_name: "millrace-local",
    host: "127.0.0.1",
    port,
    // The default acknowledges before the disk has the message and flushes every two minutes.
    jetstream: {
      store_dir: storeDir,
      sync_interval: "always",
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
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** A list in `allow` denies everything else; an empty list denies all of it. */
function permissions({ publish, subscribe, allowResponses }: UserPermissions) {
  const only = (subjects: readonly string[]) => (subjects.length > 0 ? { allow: subjects } : { deny: [">"] });
  return {
    publish: only(publish),
    subscribe: only(subscribe),
    ...(allowResponses ? { allow_responses: { max: 1, expires: "1m" } } : {}),
  };
}
