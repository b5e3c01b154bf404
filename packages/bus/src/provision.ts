import { type BUCKETS, PROVISIONED, REQUEST_STREAM, type StreamDeclaration } from "@millrace/contracts";
import { DiscardPolicy, ErrorCode, RetentionPolicy, StorageType, type StreamConfig } from "nats";
import type { Bus } from "./bus.ts";
import { wait } from "./wait.ts";

export type ProvisionOptions = {
  /** Copies of each stream: 1, or 3 on a cluster. */
  replicas: 1 | 3;
};

/**
 * Makes every stream and bucket of the contracts, or brings existing ones to these settings. Run by the operator (or a
 * deployment job) before the services start; idempotent.
 */
export async function provision(bus: Bus, options: ProvisionOptions): Promise<void> {
  for (const stream of PROVISIONED.streams) await insist(() => ensureStream(bus, stream, options));
  for (const bucket of PROVISIONED.buckets) await insist(() => ensureBucket(bus, bucket, options));
  await removeFormerConsumers(bus);
}

/** Durables of 0.1, one per model, from before there were lanes: nobody pulls from them, and retention would wait. */
const FORMER = /^inference-tensor-/;

/** What they had not acknowledged is not lost: a lane's own durable begins with all that is retained. */
async function removeFormerConsumers(bus: Bus): Promise<void> {
  const { name: stream } = REQUEST_STREAM.tensor;
  for await (const { name } of bus.jsm.consumers.list(stream))
    if (FORMER.test(name)) await bus.jsm.consumers.delete(stream, name);
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

const TRIES = 6;
const AGAIN_MS = 1_000;

/** A cluster that has just come up elects its leaders, and answers nothing until then. Everything here may be repeated. */
async function insist<T>(act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (cause) {
      const { code, api_error } = cause as { code?: string; api_error?: { code?: number } };
      const isAway = code === ErrorCode.Timeout || code === ErrorCode.NoResponders || api_error?.code === 503;
      if (!isAway || attempt === TRIES) throw cause;
      await wait(AGAIN_MS);
    }
  }
}
