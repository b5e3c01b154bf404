import { type BUCKETS, canonicalBytes, DURABILITY_KEY, PROVISIONED, type StreamDeclaration } from "@millrace/contracts";
import { DiscardPolicy, RequestStrategy, RetentionPolicy, StorageType, type StreamConfig } from "nats";
import type { Bus } from "./bus.ts";
import { durabilityOf } from "./durability.ts";

export type ProvisionOptions = {
  /** Copies of each stream: 1, or 3 on a cluster. */
  replicas: 1 | 3;
};

/**
 * Makes every stream and bucket of the contracts, or brings existing ones to these settings. Run by the operator (or a
 * deployment job) before the services start; idempotent.
 */
export async function provision(bus: Bus, options: ProvisionOptions): Promise<void> {
  for (const stream of PROVISIONED.streams) await ensureStream(bus, stream, options);
  for (const bucket of PROVISIONED.buckets) await ensureBucket(bus, bucket, options);
}

/**
 * Writes what a publish acknowledgement means to the `cluster` bucket. `bus` is the operator's connection; the facts
 * come from the server's own settings, read over the system account.
 */
export async function recordDurability(
  bus: Bus,
  facts: { syncAlways: boolean; replicas: number; evidence: string },
): Promise<void> {
  const kv = await bus.js.views.kv("cluster", { bindOnly: true });
  await kv.put(DURABILITY_KEY, canonicalBytes({ durability: durabilityOf(facts), evidence: facts.evidence }));
}

/** Reads `sync_interval` of every JetStream server through the system account: true when all of them write through. */
export async function readSyncAlways(system: Bus): Promise<{ syncAlways: boolean; servers: number }> {
  const inbox = await system.nc.requestMany("$SYS.REQ.SERVER.PING.JSZ", JSON.stringify({ config: true }), {
    maxWait: 2_000,
    maxMessages: 64,
    strategy: RequestStrategy.JitterTimer,
  });
  let servers = 0;
  let syncAlways = true;
  for await (const message of inbox) {
    const config = message.json<{ data?: { config?: { sync_always?: boolean } } }>().data?.config;
    if (!config) continue;
    servers++;
    syncAlways &&= config.sync_always === true;
  }
  if (servers === 0) throw new Error("no JetStream server answered on the system account; durability is not known");
  return { syncAlways, servers };
}

async function ensureStream(bus: Bus, stream: StreamDeclaration, { replicas }: ProvisionOptions): Promise<void> {
  const config: Partial<StreamConfig> & { name: string } & Record<string, unknown> = {
    name: stream.name,
    subjects: [...stream.subjects],
    description: stream.description,
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New, // refuse rather than forget
    max_bytes: stream.max_bytes,
    max_age: 0,
    num_replicas: replicas,
    allow_direct: true,
    allow_atomic: true,
    deny_delete: false, // retention deletes settled messages one by one
    deny_purge: false,
    ...(stream.republish ? { republish: stream.republish } : {}),
  };
  if (await exists(bus.jsm.streams.info(stream.name))) await bus.jsm.streams.update(stream.name, config);
  else await bus.jsm.streams.add(config);
}

async function ensureBucket(
  bus: Bus,
  bucket: (typeof BUCKETS)[keyof typeof BUCKETS],
  { replicas }: ProvisionOptions,
): Promise<void> {
  await bus.js.views.kv(bucket.name, {
    description: bucket.description,
    history: 8,
    replicas,
    max_bytes: 64 * 1024 * 1024,
    storage: StorageType.File,
  });
}

async function exists(looking: Promise<unknown>): Promise<boolean> {
  try {
    await looking;
    return true;
  } catch (cause) {
    if ((cause as { api_error?: { code?: number } }).api_error?.code === 404) return false;
    throw cause;
  }
}
