import { BUCKETS, type BucketName, canonicalBytes } from "@millrace/contracts";
import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";
import type { Bus } from "./bus.ts";
import { wait } from "./wait.ts";

/** A typed view of a key-value bucket, kept current in memory. */
export type Table<Value> = Disposable & {
  /** The current value, from memory. */
  get(key: string): Value | undefined;
  entries(): ReadonlyMap<string, Value>;
  /** Writes a value, unless it already is the current one. */
  put(key: string, value: Value): Promise<void>;
};

export type TableListeners<Value> = {
  onPut?: (key: string, value: Value) => void;
  onDelete?: (key: string) => void;
};

const FOLLOW_AGAIN_MS = 1_000;

/**
 * Opens a bucket that the provisioner made and follows it. Resolves when what it held is in memory. A value that does
 * not fit the schema is passed over, and said in the log. `onPut` is told of each value as it comes, also of those that
 * were there, and again of all when following begins again after an interruption; `onDelete` of each key that has been
 * deleted, likewise.
 */
export async function openTable<Schema extends TSchema>(
  bus: Bus,
  bucket: BucketName,
  schema: Schema,
  { onPut, onDelete }: TableListeners<Static<Schema>> = {},
): Promise<Table<Static<Schema>>> {
  const validator = Compile(schema);
  const kv = await bus.js.views.kv(BUCKETS[bucket].name, { bindOnly: true });
  const values = new Map<string, Static<Schema>>();
  const { promise: loaded, resolve } = Promise.withResolvers<void>();
  let closed = false;
  let watch = await kv.watch({ initializedFn: resolve });
  const read = async () => {
    for await (const entry of watch) {
      if (entry.operation !== "PUT") {
        values.delete(entry.key);
        onDelete?.(entry.key);
        continue;
      }
      const value = parse(entry.value);
      if (validator.Check(value)) {
        values.set(entry.key, value as Static<Schema>);
        onPut?.(entry.key, value as Static<Schema>);
      } else bus.log.error({ bucket, key: entry.key }, "a value in the bucket does not fit its schema; passed over");
    }
  };
  // A table that stopped following would go on with what it knows, and nobody would see: it begins again.
  const follow = async () => {
    await read().catch((err: unknown) => bus.log.warn({ err, bucket }, "following the bucket was interrupted"));
    while (!closed && !bus.nc.isClosed()) {
      await wait(FOLLOW_AGAIN_MS);
      if (closed || !bus.connected) continue;
      try {
        watch = await kv.watch();
        if (closed) watch.stop();
        await read();
      } catch (err) {
        bus.log.warn({ err, bucket }, "following the bucket was interrupted; beginning again");
      }
    }
  };
  void follow();
  // The client finds out by missing heartbeats, 10 s later; a reconnection says so now.
  const reconnected = bus.onReconnect(() => watch.stop());
  await loaded;
  return {
    get: (key) => values.get(key),
    entries: () => values,
    async put(key, value) {
      const bytes = canonicalBytes(value);
      const current = values.get(key);
      if (current !== undefined && Buffer.compare(canonicalBytes(current), bytes) === 0) return;
      await kv.put(key, bytes);
      values.set(key, value);
    },
    [Symbol.dispose]() {
      closed = true;
      reconnected[Symbol.dispose]();
      watch.stop();
    },
  };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}
