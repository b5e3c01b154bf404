import { HEADER_LENGTH, inboxPrefix } from "@millrace/contracts";
import { createInbox, ErrorCode, type Msg, NatsError } from "nats";
import type { Bus } from "./bus.ts";
import { rawHeader } from "./header-reader.ts";
import type { StoredMessage } from "./read.ts";

/**
 * Reads many messages of a stream in one question (batched direct get, ADR-31), without a consumer that somebody has
 * to remove again. Any replica may answer, so what was stored a moment ago may be missing.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-31.md
 */

/** Where reading begins: behind a position, or at a time. */
export type ReadFrom = { after: number } | { since: Date };

/** Bounds one answer; one that it cuts short says so by `pending`. */
const BYTES_MAX = 8 * 1024 * 1024;
const MESSAGES_MAX = 1_000;
/** Of one question; a filter over an id matches two subjects. */
const SUBJECTS_MAX = 500;
/** The server refuses a question that stands for more than 1024 subjects; it is then asked in halves. */
const TOO_MANY = "413";
const SILENCE_MS = 5_000;

/**
 * The next messages whose subject matches, in stream order, and how many follow them.
 * @throws NatsError when no server answers in time
 */
export async function readNext(
  bus: Bus,
  stream: string,
  options: { filter: string; from: ReadFrom; batch: number },
): Promise<{ messages: StoredMessage[]; pending: number }> {
  const { filter, from, batch } = options;
  return await ask(bus, stream, {
    next_by_subj: filter,
    batch,
    max_bytes: BYTES_MAX,
    ...("after" in from ? { seq: from.after + 1 } : { start_time: from.since.toISOString() }),
  });
}

/**
 * The last message of each subject, by subject; wildcards stand for every subject that they match.
 * @throws NatsError when no server answers in time, or one subject stands for more than 1024
 */
export async function readLastOfEach(
  bus: Pick<Bus, "nc" | "user">,
  stream: string,
  subjects: readonly string[],
): Promise<Map<string, StoredMessage>> {
  const found = new Map<string, StoredMessage>();
  const asked = Array.from({ length: Math.ceil(subjects.length / SUBJECTS_MAX) }, (_, index) =>
    subjects.slice(index * SUBJECTS_MAX, (index + 1) * SUBJECTS_MAX),
  );
  for (let part = asked.shift(); part; part = asked.shift()) {
    try {
      for (const message of await lastOf(bus, stream, part)) found.set(message.subject, message);
    } catch (cause) {
      if (!(cause instanceof NatsError && cause.code === TOO_MANY) || part.length === 1) throw cause;
      const middle = part.length >> 1;
      asked.unshift(part.slice(0, middle), part.slice(middle));
    }
  }
  return found;
}

/** All pages of one question. */
async function lastOf(bus: Pick<Bus, "nc" | "user">, stream: string, multi_last: readonly string[]) {
  const found: StoredMessage[] = [];
  let seq = 1;
  let upTo: number | undefined;
  for (;;) {
    const page = await ask(bus, stream, {
      multi_last,
      seq,
      batch: MESSAGES_MAX,
      max_bytes: BYTES_MAX,
      ...(upTo === undefined ? {} : { up_to_seq: upTo }),
    });
    found.push(...page.messages);
    const last = page.messages.at(-1);
    if (page.pending === 0 || !last) return found;
    seq = last.sequence + 1;
    upTo = page.upTo; // the same moment as the first page
  }
}

type Page = { messages: StoredMessage[]; pending: number; upTo: number | undefined };

/** The client's own `requestMany` takes a message without a body for the end; somebody may have stored one. */
function ask(bus: Pick<Bus, "nc" | "user">, stream: string, question: Record<string, unknown>): Promise<Page> {
  const inbox = createInbox(inboxPrefix(bus.user));
  const messages: StoredMessage[] = [];
  return new Promise((resolve, reject) => {
    const settle = (how: () => void) => {
      clearTimeout(timer);
      subscription.unsubscribe();
      how();
    };
    const silent = () =>
      settle(() => reject(new NatsError(`${stream}: no answer to a batched get`, ErrorCode.Timeout)));
    const timer = setTimeout(silent, SILENCE_MS);
    const subscription = bus.nc.subscribe(inbox, {
      callback: (err, message) => {
        if (err) return settle(() => reject(err));
        timer.refresh();
        const code = message.headers?.code ?? 0;
        const number = (name: string) => Number(message.headers?.get(name) || 0);
        if (code === 0) messages.push(fromDirect(message));
        else if (code === 204)
          settle(() =>
            resolve({ messages, pending: number("Nats-Num-Pending"), upTo: number("Nats-UpTo-Sequence") || undefined }),
          );
        else if (code === 404) settle(() => resolve({ messages, pending: 0, upTo: undefined }));
        else settle(() => reject(new NatsError(`${stream}: ${message.headers?.description}`, String(code))));
      },
    });
    bus.nc.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(question), { reply: inbox });
  });
}

function fromDirect(message: Msg): StoredMessage {
  const header = rawHeader(message);
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
