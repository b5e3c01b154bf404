import { randomUUID } from "node:crypto";
import type { Logger } from "@millrace/kit";
import type { NatsConnection } from "nats";
import type { Field, HeaderBlock } from "./header-block.ts";
import { messageHeaders, type Outgoing, type Stored } from "./outgoing.ts";
import { FULL, StorageFullError, WRONG_LAST_SEQUENCE } from "./publish.ts";
import { wait } from "./wait.ts";

/**
 * Group commit: many messages that arrive together are stored together, as one JetStream atomic batch (ADR-50) with a
 * compare-and-set per message, so that an fsync is paid per batch. A few go at once, one by one; batches form by load,
 * while earlier messages are under way, and never by waiting.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md
 */
export type Committer = {
  /**
   * Stores the message, in a batch or by itself. Of messages under way with one filter and one expectation only the
   * first is sent: once it is stored, or refused, the stream would refuse the others.
   * @throws what `single` throws, and TypeError when a header has a line break
   */
  store(message: Outgoing): Promise<Stored>;
};

export type CommitterOptions = {
  nc: NatsConnection;
  log: Logger;
  /** Stores one message by itself, with its retries: for a few messages, and where batches did not work. */
  single: (message: Outgoing, headers: HeaderBlock) => Promise<Stored>;
  /** Sequence of the last message under each filter that has one; what is not known is left out. */
  lastUnder: (stream: string, filters: readonly string[]) => Promise<ReadonlyMap<string, number>>;
  /** So many messages waiting make a batch. @default 8 */
  batchMin?: number;
};

/**
 * A batch costs the server about five fsyncs and 3 ms, because it is staged in a folder of its own first (strace of
 * 2.15.1: two files written through, three more fsyncs, a dozen directory operations); a single message costs one fsync.
 * Below this number single messages are quicker and cheaper on disks that sync in 0.3 ms (even at 14) to 5 ms (at 6).
 */
const BATCH_MESSAGES_MIN = 8;
/** Bounds of one batch. The server's limit is 1000 messages. */
const BATCH_MESSAGES_MAX = 256;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
/**
 * Batches under way at once, per stream. The server works them off one after the other, so a second one mostly makes both
 * smaller. It goes when it holds half of all that were lately under way: clients in a loop, of whom half are at the server
 * and half have come back, would otherwise stay in such halves for ever, each waiting for the other; now they run together
 * again. (64 clients: batches of 54 instead of 34, a tenth to a seventh more per second.) It also goes when it is large,
 * and only then on a disk that is slow enough for gathering, below.
 */
const BATCHES_IN_FLIGHT = 2;
const SECOND_BATCH = { min: 16, max: BATCH_MESSAGES_MAX / 2 } as const;
/**
 * On a disk where a batch takes long, whom it answered is waited for, to come again in the next: for this part of the
 * time it took, from this time on. A batch costs such a disk the same whether it is large or small, and closed loops of
 * clients would take turns in halves (64 of them, 25 ms a batch: 32 at a time, or 64).
 */
const GATHER_SHARE = 1 / 4;
const GATHER_FROM_MS = 20;
const BATCH_TRIES = 2;
const COMMIT_TIMEOUT_MS = 5_000;

/** A message on its way, its headers made once. */
type Entry = { message: Outgoing; headers: HeaderBlock } & PromiseWithResolvers<Stored>;
type Lane = {
  /** By filter: what waits or is under way. So an id is never twice in a batch, which the server would not see. */
  pending: Map<string, Entry>;
  waiting: Entry[];
  batches: number;
  singles: number;
  scheduled: boolean;
  /** The most that were under way or waiting lately. */
  most: number;
  /** How long the last batch took. */
  took_ms: number;
  /** The next batch waits until so many wait, or for its timer. */
  gathering: { until: number; timer: NodeJS.Timeout } | undefined;
};
/** A batch has ended: so many messages were answered, after so long. */
type Ended = (answered: number, took_ms: number) => void;

export function createCommitter(options: CommitterOptions): Committer {
  const { nc, log, single, lastUnder, batchMin = BATCH_MESSAGES_MIN } = options;
  /** A batch belongs to one stream. */
  const lanes = new Map<string, Lane>();

  const store = async (message: Outgoing): Promise<Stored> => {
    const lane = laneOf(lanes, message.subject);
    const rival = lane.pending.get(message.exclusive);
    if (rival) {
      if (expectedBy(rival.message) === expectedBy(message)) return rival.promise.then(() => ({ stored: false }));
      const again = () => store(message);
      return rival.promise.then(again, again);
    }
    const entry: Entry = { message, headers: messageHeaders(message), ...Promise.withResolvers<Stored>() };
    lane.pending.set(message.exclusive, entry);
    lane.most = Math.max(lane.most, lane.pending.size);
    // What replaces another message is rare, and when that one is gone the batch is refused and nothing tells why.
    if (expectedBy(message) > 0) {
      void storeSingly(lane, entry);
      return entry.promise;
    }
    lane.waiting.push(entry);
    if (lane.gathering && lane.waiting.length >= lane.gathering.until) endGathering(lane);
    if (!lane.gathering && !lane.scheduled && lane.batches < BATCHES_IN_FLIGHT) {
      lane.scheduled = true;
      setImmediate(() => pump(lane)); // what this turn of the event loop still brings joins the batch
    }
    return entry.promise;
  };

  /** What the batch before answered in so many ms comes again, if it was a client's loop. */
  const gather = (lane: Lane, answered: number, took_ms: number) => {
    const until = Math.min(lane.waiting.length + answered, BATCH_MESSAGES_MAX);
    if (took_ms < GATHER_FROM_MS || lane.batches > 0 || lane.waiting.length >= until) return pump(lane);
    const timer = setTimeout(() => {
      endGathering(lane);
      pump(lane);
    }, took_ms * GATHER_SHARE);
    lane.gathering = { until, timer };
  };

  const pump = (lane: Lane) => {
    lane.scheduled = false;
    if (lane.gathering) return;
    while (
      lane.batches < BATCHES_IN_FLIGHT &&
      lane.waiting.length >= (lane.batches === 0 ? batchMin : secondBatchMin(lane))
    ) {
      lane.batches++;
      const ended = once((answered: number, took_ms: number) => {
        lane.batches--;
        lane.most = Math.max(lane.pending.size, lane.most - (lane.most >> 4));
        lane.took_ms = took_ms;
        gather(lane, answered, took_ms);
      });
      void commit(lane, takeBatch(lane.waiting), ended).finally(() => ended(0, 0));
    }
    // Singles between batches would take the disk from them; as many at once as a batch is worth, then they gather.
    while (lane.waiting.length > 0 && lane.batches === 0 && lane.singles < batchMin) {
      lane.singles++;
      void storeSingly(lane, lane.waiting.shift()!).finally(() => {
        lane.singles--;
        pump(lane);
      });
    }
  };

  const commit = async (lane: Lane, entries: readonly Entry[], ended: Ended): Promise<void> => {
    let rest = entries;
    for (let attempt = 1; attempt <= BATCH_TRIES && rest.length >= batchMin; attempt++) {
      const sent = performance.now();
      const answer = await sendBatch(nc, rest);
      if (answer.kind === "stored") {
        // The next batch is on its way before anyone hears of this one, or the server would wait for them all.
        ended(rest.length, performance.now() - sent);
        const { stream, first } = answer;
        for (const [index, entry] of rest.entries())
          settle(lane, entry, { stored: true, stream, sequence: first + index });
        return;
      }
      if (answer.kind === "full") {
        const full = new StorageFullError(`the stream of ${rest[0]!.message.subject} is full: ${answer.why}`);
        for (const entry of rest) fail(lane, entry, full);
        return;
      }
      if (answer.kind === "refused") rest = await answerExisting(lane, answer.stream, rest);
      else {
        log.warn({ why: answer.why, messages: rest.length, attempt }, "batch not confirmed; trying again");
        if (nc.isClosed()) break;
        await wait(100 * (2 ** attempt + Math.random()));
      }
    }
    await Promise.all(rest.map((entry) => storeSingly(lane, entry)));
  };

  /**
   * A refusal names the last sequence of one of the filters, not the message: what has come before any of the batch is
   * asked for at once, so that several such messages cost no more than one. The answer may be that of a replica which is
   * behind: only what is past the expected message is certain.
   */
  const answerExisting = async (lane: Lane, stream: string, entries: readonly Entry[]): Promise<readonly Entry[]> => {
    const filters = entries.map(({ message }) => message.exclusive);
    const last = await lastUnder(stream, filters).catch((err: unknown) => {
      log.warn({ err, stream, messages: entries.length }, "cannot see which messages of a batch exist");
      return new Map<string, number>();
    });
    return entries.filter((entry) => {
      if ((last.get(entry.message.exclusive) ?? 0) <= expectedBy(entry.message)) return true;
      settle(lane, entry, { stored: false });
      return false;
    });
  };

  const storeSingly = async (lane: Lane, entry: Entry): Promise<void> => {
    try {
      settle(lane, entry, await single(entry.message, entry.headers));
    } catch (cause) {
      fail(lane, entry, cause);
    }
  };

  return { store };
}

function settle(lane: Lane, entry: Entry, stored: Stored): void {
  lane.pending.delete(entry.message.exclusive);
  entry.resolve(stored);
}

function fail(lane: Lane, entry: Entry, cause: unknown): void {
  lane.pending.delete(entry.message.exclusive);
  entry.reject(cause);
}

function endGathering(lane: Lane): void {
  clearTimeout(lane.gathering?.timer);
  lane.gathering = undefined;
}

/** How many must wait for a batch beside the one under way. */
const secondBatchMin = ({ most, took_ms }: Lane): number =>
  took_ms >= GATHER_FROM_MS ? SECOND_BATCH.max : Math.min(Math.max(most / 2, SECOND_BATCH.min), SECOND_BATCH.max);

/** Takes the next batch off the queue, bounded in messages and bytes. */
function takeBatch(waiting: Entry[]): Entry[] {
  let count = 0;
  for (let bytes = 0; count < Math.min(waiting.length, BATCH_MESSAGES_MAX); count++) {
    bytes += waiting[count]!.message.body.byteLength;
    if (count > 0 && bytes > BATCH_BYTES_MAX) break;
  }
  return waiting.splice(0, count);
}

type BatchAnswer =
  | { kind: "stored"; stream: string; first: number }
  /** A message exists that one of the batch does not expect (10071): nothing was stored. */
  | { kind: "refused"; stream: string }
  | { kind: "full"; why: string }
  /** Not known: in flight (10164), too many batches open (10210), no responders, a time-out, a lost message. */
  | { kind: "unknown"; why: string };

type CommitReply = {
  error?: { err_code: number; description: string };
  stream: string;
  seq: number;
  count?: number;
};

/** Sends the messages as one batch. Only the last is answered: for all of them. */
async function sendBatch(nc: NatsConnection, batch: readonly Entry[]): Promise<BatchAnswer> {
  const id = randomUUID();
  const last = batch.length - 1;
  try {
    for (const [index, { message, headers }] of batch.entries())
      if (index < last) nc.publish(message.subject, message.body, { headers: headers.after(place(id, index)) });
    const { message, headers } = batch[last]!;
    const reply = await nc.request(message.subject, message.body, {
      headers: headers.after([...place(id, last), COMMIT]),
      timeout: COMMIT_TIMEOUT_MS,
    });
    const { error, stream, seq, count } = reply.json<CommitReply>();
    if (error?.err_code === WRONG_LAST_SEQUENCE) return { kind: "refused", stream };
    if (error && FULL.includes(error.err_code)) return { kind: "full", why: error.description };
    if (error || count !== batch.length)
      return { kind: "unknown", why: error?.description ?? `${count} of ${batch.length} messages` };
    return { kind: "stored", stream, first: seq - last };
  } catch (cause) {
    return { kind: "unknown", why: String(cause) };
  }
}

const place = (id: string, index: number): Field[] => [
  ["Nats-Batch-Id", id],
  ["Nats-Batch-Sequence", String(index + 1)],
];
const COMMIT: Field = ["Nats-Batch-Commit", "1"];

function once<Arguments extends unknown[]>(call: (...all: Arguments) => void): (...all: Arguments) => void {
  let called = false;
  return (...all) => {
    if (!called) call(...all);
    called = true;
  };
}

const expectedBy = (message: Outgoing): number => message.expected ?? 0;

/** Lanes by the tokens that do not differ between the messages of one stream: `req.tensor`, `out`, `evt`. */
function laneOf(lanes: Map<string, Lane>, subject: string): Lane {
  const name = subject.split(".", subject.startsWith("req.") ? 2 : 1).join(".");
  let lane = lanes.get(name);
  if (!lane) {
    lane = {
      pending: new Map(),
      waiting: [],
      batches: 0,
      singles: 0,
      scheduled: false,
      most: 0,
      took_ms: 0,
      gathering: undefined,
    };
    lanes.set(name, lane);
  }
  return lane;
}
