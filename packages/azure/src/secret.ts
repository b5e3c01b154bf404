import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { keyVaultReader } from "./key-vault.ts";
import { placeOf, type SecretSource } from "./secret-source.ts";

/** The values that hold now, the current one first: two while a rotation is under way. */
export type SecretValues = readonly [current: string, ...previous: string[]];

/** A secret that is kept up to date while it is in use. */
export type Secret = Disposable & {
  /** Where it is kept; may be logged. */
  readonly place: string;
  /**
   * The values that hold, as they were read last; waits for the first reading.
   * @throws SecretError when it could not be read yet, or not for longer than the bound
   */
  values(): Promise<SecretValues>;
  /**
   * To be told when the current value was refused: it is read again as soon as `again_ms` have passed since the last
   * time, and more often than else until it is another one. Answers, after the first reading, whether it is.
   */
  refused(): Promise<boolean>;
  /** Called with the new values after each change, until disposed. What it throws is told as trouble. */
  onChange(listener: (values: SecretValues) => void): Disposable;
};

/** Reads the values of a secret, the current one first. @throws what its place says; never with a value in it */
export type ReadSecret = (now_ms: number) => Promise<readonly string[]>;

export type SecretOptions = {
  /** How often it is read again. @default five minutes of Key Vault, five seconds of a file */
  every_ms?: number;
  /** The shortest time between two readings. */
  again_ms?: number;
  /** How long the last values are used when its place cannot be read. */
  stale_ms_max?: number;
  /** Told why it cannot be read, and (undefined) that it can be again; once for each change. Never of a value. */
  onTrouble?: (why: string | undefined) => void;
  now?: () => number;
  read?: ReadSecret;
};

/** A secret that cannot be had. The message names the place and the reason, never the value. */
export class SecretError extends Error {
  override name = "SecretError";
}

const EVERY_MS = { keyVault: 5 * 60_000, file: 5_000 };
const AGAIN_MS = 5_000;
/** A value that was refused is on its way out: the next one is looked for more often. */
const DOUBTED_MS = 15_000;
/** Between two tries at the very least. */
const PAUSE_MS = 50;
/** An outage of Key Vault of a day; a value that somebody had to take back is not used for longer. */
const STALE_MS_MAX = 24 * 3_600_000;
/** Many processes read one vault: not all at the same moment. */
const JITTER = 0.1;

/**
 * Opens a secret: it is read now, in the background, and again and again. One in a setting or the environment is read
 * once. Lines of a file are values, the current one first.
 */
export function openSecret(source: SecretSource, options: SecretOptions = {}): Secret {
  const place = placeOf(source);
  const { again_ms = AGAIN_MS, stale_ms_max = STALE_MS_MAX, onTrouble = () => {}, now = Date.now } = options;
  const every_ms = options.every_ms ?? ("keyVault" in source ? EVERY_MS.keyVault : EVERY_MS.file);
  const read = options.read ?? readerOf(source);
  const fixed = "value" in source || "env" in source || ("keyVault" in source && source.keyVault.version !== undefined);
  const listeners = new Set<(values: SecretValues) => void>();
  let values: SecretValues | undefined;
  let trouble: string | undefined;
  let good_ms = now();
  let tried_ms = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;
  /** A reading that waits until it may be, for all who ask. */
  let soon: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let doubted = false;

  const readOnce = async (): Promise<void> => {
    let why: string | undefined;
    try {
      const [current, ...previous] = (await read(now())).filter((value) => value !== "");
      if (current === undefined) throw new Error("there is nothing in it");
      good_ms = now();
      const changed = values !== undefined && JSON.stringify(values) !== JSON.stringify([current, ...previous]);
      if (current !== values?.[0]) doubted = false;
      values = [current, ...previous];
      if (changed) for (const listener of listeners) listener(values);
    } catch (cause) {
      why = (cause as Error).message;
    }
    if (why !== trouble && !closed) onTrouble(why);
    trouble = why;
  };
  const isOver = () => closed || (fixed && values !== undefined);
  /** One reading at a time: who comes meanwhile waits for the same one. */
  const readAgain = (): Promise<void> => {
    if (isOver()) return Promise.resolve();
    if (reading === undefined) {
      tried_ms = now();
      clearTimeout(timer);
      reading = readOnce().finally(() => {
        reading = undefined;
        if (isOver()) return;
        const soon_ms = trouble !== undefined ? Math.max(again_ms, PAUSE_MS) : doubted ? DOUBTED_MS : every_ms;
        const wait_ms = Math.min(soon_ms, every_ms);
        timer = setTimeout(readAgain, wait_ms * (1 + JITTER * Math.random())).unref();
      });
    }
    return reading;
  };
  void readAgain();

  return {
    place,
    async values() {
      if (values === undefined && (reading !== undefined || now() - tried_ms >= again_ms)) await readAgain();
      if (values === undefined) throw new SecretError(`${place} cannot be read: ${trouble ?? "it was not read yet"}`);
      if (trouble === undefined || now() - good_ms <= stale_ms_max) return values;
      const hours = Math.round((now() - good_ms) / 3_600_000);
      throw new SecretError(
        `${place} could not be read for ${hours} h, which is too long to use the old value: ${trouble}`,
      );
    },
    async refused() {
      const before = values?.[0];
      doubted = true;
      await reading;
      if (values?.[0] === before && !isOver()) {
        soon ??= sleep(Math.max(0, tried_ms + again_ms - now()), undefined, { ref: false })
          .then(readAgain)
          .finally(() => {
            soon = undefined;
          });
        await soon;
      }
      return values?.[0] !== before;
    },
    onChange(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    [Symbol.dispose]() {
      closed = true;
      clearTimeout(timer);
      listeners.clear();
    },
  };
}

function readerOf(source: SecretSource): ReadSecret {
  if ("value" in source) return async () => [source.value];
  if ("env" in source) return async () => [process.env[source.env] ?? ""];
  if ("keyVault" in source) return keyVaultReader(source.keyVault);
  return async () => (await readFile(source.file, "utf8")).split("\n").map((line) => line.trim());
}
