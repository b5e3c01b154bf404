import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { USERS } from "@millrace/contracts";
import { type NatsCluster, startNatsCluster } from "@millrace/local";

/**
 * Three real nats-servers in a cluster on free ports, with throw-away stores and the users of the contracts. Each can
 * be killed and restarted, paused, and cut off. Close it with `await using`.
 */
export async function natsCluster(options: { syncAlways?: boolean } = {}): Promise<NatsCluster> {
  const dataDir = await mkdtemp(path.join(tmpdir(), "millrace-cluster-"));
  const removeData = () => rm(dataDir, { recursive: true, force: true });
  try {
    const cluster = await startNatsCluster({ dataDir, users: USERS, ...options });
    const close = async () => {
      await cluster.close();
      await removeData();
    };
    return { ...cluster, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await removeData();
    throw error;
  }
}
