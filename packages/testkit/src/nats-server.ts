import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { USERS, type UserPermissions } from "@millrace/contracts";
import { type NatsServer, startNatsServer } from "@millrace/local";

/**
 * A real nats-server on a free port with a throw-away store and the users of the contracts. Close it with
 * `await using`; it also ends when the test process is killed.
 */
export async function natsServer(
  options: { users?: Readonly<Record<string, UserPermissions>> } = {},
): Promise<NatsServer> {
  const dataDir = await mkdtemp(path.join(tmpdir(), "millrace-nats-"));
  const removeData = () => rm(dataDir, { recursive: true, force: true });
  try {
    const server = await startNatsServer({ dataDir, users: options.users ?? USERS });
    const close = async () => {
      await server.close();
      await removeData();
    };
    // The server's properties stay live (its pid changes with a restart), hence a prototype and not a copy.
    return Object.assign(Object.create(server) as NatsServer, { close, [Symbol.asyncDispose]: close });
  } catch (error) {
    await removeData();
    throw error;
  }
}
