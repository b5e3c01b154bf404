import { randomUUID } from "node:crypto";
import { inboxPrefix } from "@millrace/contracts";
import { createInbox, type Msg, nanos } from "nats";
import type { Bus } from "./bus.ts";
import { rawHeader } from "./header-reader.ts";
import { wait } from "./wait.ts";

/** A message as a scan shows it: everything but the body. */
export type Scanned = {
  subject: string;
  sequence: number;
  /** When the stream stored it, in milliseconds since 1970. */
  stored_ms: number;
  header(name: string): string | undefined;
};

export type ScanRange = {
  stream: string;
  /** First position. @default 1 */
  from?: number;
  /** Last position. Nothing behind it is given, however long the scan takes. */
  through: number;
  /** Only subjects that match; absent = all. */
  filter?: string;
  /** Messages of one pull, for who stops early. @default 2000 */
  pull?: number;
};

/** Two pulls are held at most: what is being looked at, and the next, under way. */
const PULL = 2_000;
const PULL_EXPIRES_MS = 5_000;
/** Without a word from the server for this long, the consumer is taken for gone and made anew. */
const SILENCE_MS = 4_000;
const TRIES = 8;

/**
 * Reads the headers of a range of a stream in order, in batches, whatever happens to servers meanwhile: an ordered
 * consumer of its own, made anew behind the last message given when a delivery is lost or the server goes away.
 * The client's ordered consumer does the same at half the speed: it reads every header and makes an object per ack.
 * @throws when the server cannot be reached in 8 tries
 */
export async function* scan(bus: Bus, range: ScanRange): AsyncGenerator<readonly Scanned[]> {
  let next = Math.max(1, range.from ?? 1); // an empty stream says that its first message is 0
  for (let failures = 0; next <= range.through; ) {
    let consumer: OwnConsumer | undefined;
    try {
      consumer = await createConsumer(bus, { ...range, from: next });
      for await (const batch of read(bus, consumer, range)) {
        failures = 0;
        const within = batch.filter(({ sequence }) => sequence <= range.through);
        if (within.length > 0) {
          next = within.at(-1)!.sequence + 1;
          yield within;
        }
        if (within.length < batch.length) break;
      }
      return;
    } catch (cause) {
      if (++failures === TRIES || bus.nc.isClosed()) throw cause;
      bus.log.warn({ err: cause, stream: range.stream, next, failures }, "a scan was interrupted; going on");
      await wait(250 * 2 ** Math.min(failures, 5));
    } finally {
      if (consumer) await remove(bus, consumer);
    }
  }
}

type OwnConsumer = { stream: string; name: string; pending: number };

async function createConsumer(bus: Bus, { stream, from = 1, filter }: ScanRange): Promise<OwnConsumer> {
  const name = `scan-${randomUUID()}`;
  const subject = `$JS.API.CONSUMER.CREATE.${stream}.${name}${filter === undefined ? "" : `.${filter}`}`;
  const question = {
    stream_name: stream,
    action: "create",
    config: {
      name,
      ack_policy: "none",
      deliver_policy: "by_start_sequence",
      opt_start_seq: from,
      replay_policy: "instant",
      headers_only: true,
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(30_000),
      ...(filter === undefined ? {} : { filter_subject: filter }),
    },
  };
  const reply = await bus.nc.request(subject, JSON.stringify(question), { timeout: 5_000 });
  const answer = reply.json<{ error?: { description: string }; num_pending: number }>();
  if (answer.error) throw new Error(`${stream} cannot be scanned: ${answer.error.description}`);
  return { stream, name, pending: answer.num_pending };
}

const remove = (bus: Bus, { stream, name }: OwnConsumer): Promise<unknown> =>
  // The server removes it by itself when nobody reads for 30 s.
  bus.connected ? bus.jsm.consumers.delete(stream, name).catch(() => {}) : Promise.resolve();

/** Batches until nothing follows. @throws when the order is broken or the server is silent */
async function* read(bus: Bus, consumer: OwnConsumer, range: ScanRange): AsyncGenerator<Scanned[]> {
  const { through, pull: size = PULL } = range;
  if (consumer.pending === 0) return;
  const inbox = createInbox(inboxPrefix(bus.user));
  let received: Scanned[] = [];
  let asked = 0;
  let delivered = 0;
  let ended = false;
  let failure: Error | undefined;
  let wake = () => {};
  const subscription = bus.nc.subscribe(inbox, {
    callback: (err, message) => {
      if (err) failure = err;
      else if (message.reply) {
        const position = positionOf(message.reply);
        if (position.delivery !== ++delivered)
          failure ??= new Error(`delivery ${position.delivery} came as ${delivered}`);
        received.push(toScanned(message, position));
        if (position.pending === 0 || position.sequence >= through) ended = true;
      } else if (isEndOfPull(message)) asked = delivered;
      else if (message.headers?.code !== HEARTBEAT)
        failure ??= new Error(message.headers?.description ?? "the pull ended");
      wake();
    },
  });
  const pull = () =>
    bus.nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${consumer.stream}.${consumer.name}`,
      JSON.stringify({ batch: size, expires: nanos(PULL_EXPIRES_MS), idle_heartbeat: nanos(PULL_EXPIRES_MS / 5) }),
      { reply: inbox },
    );
  try {
    while (!ended || received.length > 0) {
      if (asked - delivered < size && !ended) {
        pull();
        asked += size;
      }
      const before = delivered;
      await until((resolve) => {
        wake = () => (received.length >= size || ended || failure || asked - delivered < size) && resolve();
        wake();
      });
      if (failure) throw failure;
      if (!ended && delivered === before) throw new Error("the server is silent");
      const batch = received;
      received = [];
      if (batch.length > 0) yield batch;
    }
  } finally {
    subscription.unsubscribe();
  }
}

/** Waits for the call back, at most {@link SILENCE_MS}. */
async function until(callback: (resolve: () => void) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SILENCE_MS);
    callback(resolve);
  });
  clearTimeout(timer);
}

type Position = { sequence: number; delivery: number; stored_ms: number; pending: number };

/** `$JS.ACK.<stream>.<consumer>.<n>.<stream seq>.<delivery>.<nanos>.<pending>`; the new form has two tokens more. */
function positionOf(reply: string): Position {
  const tokens = reply.split(".");
  const at = tokens.length > 9 ? 7 : 5;
  return {
    sequence: Number(tokens[at]),
    delivery: Number(tokens[at + 1]),
    stored_ms: Number(tokens[at + 2]) / 1e6,
    pending: Number(tokens[at + 3]),
  };
}

function toScanned(message: Msg, { sequence, stored_ms }: Position): Scanned {
  const { subject } = message;
  let header: Scanned["header"] | undefined;
  return {
    subject,
    sequence,
    stored_ms,
    header: (name) => {
      header ??= rawHeader(message);
      return header(name);
    },
  };
}

const HEARTBEAT = 100;
/** 404 = nothing there, 408 = the pull's time is over: it is asked again. */
const isEndOfPull = (message: Msg): boolean => [404, 408].includes(message.headers?.code ?? 0);
