import { HEADER_LENGTH } from "@millrace/contracts";
import { ErrorCode, type Msg, NatsError, RequestStrategy } from "nats";
import type { Bus } from "./bus.ts";
import { headerReader } from "./header-reader.ts";
import type { StoredMessage } from "./read.ts";

/**
 * Reads many messages of a stream in one question (batched direct get, ADR-31), without a consumer that somebody has
 * to remove again. Any replica may answer, so what was stored a moment ago may be missing.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-31.md
 */

/** Where reading begins: behind a position, or at a time. */
export type ReadFrom = { after: number } | { since: Date };

/** Bounds one answer; a batch that it cuts short says so by `pending`. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
const BATCH_WAIT_MS = 10_000;
/** The server gives up on more subjects than this in one question. */
const SUBJECTS_MAX = 1_000;

/** The next messages whose subject matches, in stream order, and how many follow them.
 * @throws NatsError when no server answers in time */
export async function readNext(
  bus: Bus,
  stream: string,
  options: { filter: string; from: ReadFrom; batch: number },
): Promise<{ messages: StoredMessage[]; pending: number }> {
  const { filter, from, batch } = options;
  return await directBatch(bus, stream, {
    next_by_subj: filter,
    batch,
    max_bytes: BATCH_BYTES_MAX,
    ...("after" in from ? { seq: from.after + 1 } : { start_time: from.since.toISOString() }),
  });
}

/** The last message of each subject, by subject; wildcards stand for every subject that they match.
 * @throws NatsError when no server answers in time */
export async function readLastOfEach(
  bus: Bus,
  stream: string,
  subjects: readonly string[],
): Promise<Map<string, StoredMessage>> {
  const found = new Map<string, StoredMessage>();
  for (let at = 0; at < subjects.length; at += SUBJECTS_MAX / 2) {
    // Half of it: a filter over an id matches a `done` and a `dead`.
    const multi_last = subjects.slice(at, at + SUBJECTS_MAX / 2);
    const { messages } = await directBatch(bus, stream, { multi_last, batch: SUBJECTS_MAX });
    for (const message of messages) found.set(message.subject, message);
  }
  return found;
}

async function directBatch(bus: Bus, stream: string, question: Record<string, unknown>) {
  // The end is a message without a body; no message of ours is empty.
  const answers = await bus.nc.requestMany(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(question), {
    strategy: RequestStrategy.SentinelMsg,
    maxWait: BATCH_WAIT_MS,
  });
  const messages: StoredMessage[] = [];
  for await (const answer of answers) {
    const code = answer.headers?.code ?? 0;
    if (code === 204) return { messages, pending: Number(answer.headers?.get("Nats-Num-Pending") || 0) };
    if (code === 404) return { messages, pending: 0 };
    if (code >= 300) throw new Error(`reading ${stream}: ${code} ${answer.headers?.description}`);
    messages.push(fromDirect(answer));
  }
  throw new NatsError(`reading ${stream}: the answer did not end within ${BATCH_WAIT_MS} ms`, ErrorCode.Timeout);
}

function fromDirect(message: Msg): StoredMessage {
  const header = headerReader(message.headers);
  const length = header(HEADER_LENGTH);
  return {
    subject: header("Nats-Subject") ?? "",
    sequence: Number(header("Nats-Sequence")),
    body: message.data,
    ...(length ? { headerLength: Number(length) } : {}),
    stored_at: new Date(header("Nats-Time-Stamp") ?? 0),
    header,
  };
}
