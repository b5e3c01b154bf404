import { BUCKETS, type BucketName, canonicalBytes } from "@millrace/contracts";
import { NatsError } from "nats";
import type { Static, TSchema } from "typebox";
import { Value } from "typebox/value";
import type { Bus } from "./bus.ts";

/** A value of a bucket and the revision it has there: 0 while there is none. */
export type BucketRecord<T> = { value: T | undefined; revision: number };

/** Reads one key, once. A value that does not fit the schema counts as absent; it is replaced when somebody writes. */
export async function readRecord<Schema extends TSchema>(
  bus: Bus,
  bucket: BucketName,
  key: string,
  schema: Schema,
): Promise<BucketRecord<Static<Schema>>> {
  const kv = await bus.js.views.kv(BUCKETS[bucket].name, { bindOnly: true });
  const entry = await kv.get(key);
  if (!entry) return { value: undefined, revision: 0 };
  if (entry.operation !== "PUT") return { value: undefined, revision: entry.revision };
  const value = parse(entry.value);
  return { value: Value.Check(schema, value) ? value : undefined, revision: entry.revision };
}

/**
 * Writes a key unless somebody else has written it since `revision`. Answers the new revision, or undefined when
 * somebody has.
 */
export async function replaceRecord(
  bus: Bus,
  bucket: BucketName,
  key: string,
  next: { value: unknown; revision: number },
): Promise<number | undefined> {
  const kv = await bus.js.views.kv(BUCKETS[bucket].name, { bindOnly: true });
  return await unlessWritten(() => kv.put(key, canonicalBytes(next.value), { previousSeq: next.revision }));
}

/** Deletes a key unless somebody has written it since `revision`. Answers whether it did. */
export async function removeRecord(bus: Bus, bucket: BucketName, key: string, revision: number): Promise<boolean> {
  const kv = await bus.js.views.kv(BUCKETS[bucket].name, { bindOnly: true });
  const removed = await unlessWritten(async () => {
    await kv.delete(key, { previousSeq: revision });
    return true;
  });
  return removed ?? false;
}

async function unlessWritten<T>(write: () => Promise<T>): Promise<T | undefined> {
  try {
    return await write();
  } catch (cause) {
    if (cause instanceof NatsError && cause.api_error?.err_code === WRONG_LAST_SEQUENCE) return undefined;
    throw cause;
  }
}

const WRONG_LAST_SEQUENCE = 10071;

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}
