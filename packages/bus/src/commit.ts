import { randomUUID } from "node:crypto";
import type { NatsConnection } from "nats";
import { messageHeaders, type Outgoing, type Stored } from "./outgoing.ts";

/**
 * Group commit: many messages that arrive together are stored together, as one JetStream atomic batch (ADR-50) with a
 * compare-and-set per message, so that an fsync is paid per batch. A few go at once, one by one; batches form by load,
 * while earlier messages are under way, and never by waiting.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md
 */
export type Committer = {
  /** Stores the message, in a batch or by itself. Throws what `single` throws. */
  store(message: Outgoing): Promise<Stored>;
};

export type CommitterOptions = {
  nc: NatsConnection;
  /** Stores one message by itself, with its retries: for lone messages, and when a batch is refused. */
  single: (message: Outgoing) => Promise<Stored>;
  /** Batches under way at once, per stream. */
  concurrency: number;
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
const COMMIT_TIMEOUT_MS = 5_000;

type Waiting = { message: Outgoing; resolve: (stored: Stored) => void; reject: (cause: unknown) => void };
type Lane = { waiting: Waiting[]; batches: number; singles: number; scheduled: boolean };

export function createCommitter({
  nc,
  single,
  concurrency,
  batchMin = BATCH_MESSAGES_MIN,
}: CommitterOptions): Committer {
  /** By the first token of the subject, which names the stream's family: a batch belongs to one stream. */
  const lanes = new Map<string, Lane>();

  const pump = (lane: Lane) => {
    lane.scheduled = false;
    while (lane.waiting.length >= batchMin && lane.batches < concurrency) {
      lane.batches++;
      void settle(takeBatch(lane.waiting)).finally(() => {
        lane.batches--;
        pump(lane);
      });
    }
    // Singles between batches would take the disk from them; as many at once as a batch is worth, then they gather.
    while (lane.waiting.length > 0 && lane.batches === 0 && lane.singles < batchMin) {
      const { message, resolve, reject } = lane.waiting.shift()!;
      lane.singles++;
      void single(message)
        .then(resolve, reject)
        .finally(() => {
          lane.singles--;
          pump(lane);
        });
    }
  };

  const settle = async (batch: readonly Waiting[]) => {
    const stored = batch.length > 1 ? await commitBatch(nc, batch) : undefined;
    if (stored) {
      for (const [index, entry] of batch.entries()) entry.resolve(stored[index]!);
      return;
    }
    // Refused as a whole, or not known to be stored: each message by itself finds out what holds for it.
    await Promise.all(batch.map((entry) => single(entry.message).then(entry.resolve, entry.reject)));
  };

  return {
    store(message) {
      const name = laneOf(message.subject);
      const lane = lanes.get(name) ?? { waiting: [], batches: 0, singles: 0, scheduled: false };
      lanes.set(name, lane);
      return new Promise((resolve, reject) => {
        lane.waiting.push({ message, resolve, reject });
        if (lane.scheduled || lane.batches >= concurrency) return;
        lane.scheduled = true;
        setImmediate(() => pump(lane)); // what this turn of the event loop still brings joins the batch
      });
    },
  };
}

/**
 * Takes the next batch: bounded, of one stream, and an id at most once, because inside a batch the server's check
 * does not see the batch's own earlier messages. What is left out keeps its place in the queue.
 */
function takeBatch(waiting: Waiting[]): Waiting[] {
  const batch: Waiting[] = [];
  const left: Waiting[] = [];
  const taken = new Set<string>();
  let bytes = 0;
  while (waiting.length > 0 && batch.length < BATCH_MESSAGES_MAX) {
    const entry = waiting.shift()!;
    const size = entry.message.body.byteLength;
    if (taken.has(entry.message.exclusive)) left.push(entry);
    else if (batch.length > 0 && bytes + size > BATCH_BYTES_MAX) {
      left.push(entry);
      break;
    } else {
      batch.push(entry);
      taken.add(entry.message.exclusive);
      bytes += size;
    }
  }
  waiting.unshift(...left);
  return batch;
}

/** Where the messages were stored, or undefined when the batch was refused or its fate is not known. */
async function commitBatch(nc: NatsConnection, batch: readonly Waiting[]): Promise<Stored[] | undefined> {
  const messages = batch.map((entry) => entry.message);
  const id = randomUUID();
  const last = messages.length - 1;
  try {
    const replies: Promise<unknown>[] = [];
    let commit: Promise<CommitReply> | undefined;
    for (const [index, message] of messages.entries()) {
      const all = messageHeaders(message);
      all.set("Nats-Batch-Id", id);
      all.set("Nats-Batch-Sequence", String(index + 1));
      if (index === last) all.set("Nats-Batch-Commit", "1");
      if (index === 0 || index === last) {
        const reply = nc.request(message.subject, message.body, { headers: all, timeout: COMMIT_TIMEOUT_MS });
        if (index === last) commit = reply.then((answer) => answer.json<CommitReply>());
        else replies.push(reply);
      } else nc.publish(message.subject, message.body, { headers: all });
    }
    const [ack] = await Promise.all([commit!, ...replies]);
    if (ack.error || ack.seq === undefined || ack.count !== messages.length) return undefined;
    const { seq, stream } = ack;
    return messages.map((_, index) => ({ stored: true, stream: stream ?? "", sequence: seq - last + index }));
  } catch {
    return undefined;
  }
}

type CommitReply = { error?: { err_code: number }; stream?: string; seq?: number; count?: number };

/** Everything before the tokens that differ between the messages of one stream: `req.tensor`, `out`, `evt`. */
const laneOf = (subject: string): string => subject.split(".", subject.startsWith("req.") ? 2 : 1).join(".");
