import { inboxPrefix } from "@millrace/contracts";
import { createInbox, type Msg } from "nats";
import type { Bus } from "./bus.ts";
import { rawHeader } from "./raw-header.ts";
import type { Scanned } from "./scan.ts";

/**
 * The last message of every subject that one of the filters matches, by a batched direct get (ADR-31): one question for
 * hundreds of ids instead of one each. Any replica may answer, so what was stored a moment ago may be missing; who acts
 * on an absence asks the leader ({@link readLast}) before.
 * https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-31.md
 */
export async function lastOfEach(bus: Bus, stream: string, filters: readonly string[]): Promise<Scanned[]> {
  const found: Scanned[] = [];
  for (let at = 0; at < filters.length; at += FILTERS_MAX)
    found.push(...(await lastUnder(bus, stream, filters.slice(at, at + FILTERS_MAX))));
  return found;
}

async function lastUnder(bus: Bus, stream: string, filters: readonly string[]): Promise<Scanned[]> {
  const found: Scanned[] = [];
  let seq = 1;
  let up_to_seq: number | undefined;
  for (;;) {
    const asked = { multi_last: filters, batch: ANSWERS_MAX, max_bytes: BYTES_MAX, seq };
    const answer = await ask(bus, stream, up_to_seq === undefined ? asked : { ...asked, up_to_seq });
    if (answer === "too-many") {
      if (filters.length === 1)
        throw new Error(`${stream}: ${filters[0]} stands for more subjects than one answer may`);
      const half = Math.ceil(filters.length / 2);
      return [
        ...(await lastUnder(bus, stream, filters.slice(0, half))),
        ...(await lastUnder(bus, stream, filters.slice(half))),
      ];
    }
    found.push(...answer.messages);
    if (answer.pending === 0 || answer.messages.length === 0) return found;
    seq = answer.messages.at(-1)!.sequence + 1;
    up_to_seq = answer.upTo;
  }
}

/** The server refuses a question that stands for more than 1024 subjects; it is then asked in halves. */
const FILTERS_MAX = 200;
const ANSWERS_MAX = 1_000;
/** Bodies come along: bounds what is held of them. */
const BYTES_MAX = 8 * 1024 * 1024;
const SILENCE_MS = 5_000;
const TOO_MANY = 413;

type Answer = { messages: Scanned[]; pending: number; upTo: number | undefined };

/** The client's `requestMany` takes a message without a body for the end; somebody may have stored one. */
function ask(bus: Bus, stream: string, question: Record<string, unknown>): Promise<Answer | "too-many"> {
  const inbox = createInbox(inboxPrefix(bus.user));
  const messages: Scanned[] = [];
  return new Promise((resolve, reject) => {
    const silent = () => settle(() => reject(new Error(`${stream}: no answer to a batched get`)));
    let timer = setTimeout(silent, SILENCE_MS);
    const settle = (how: () => void) => {
      clearTimeout(timer);
      subscription.unsubscribe();
      how();
    };
    const subscription = bus.nc.subscribe(inbox, {
      callback: (err, message) => {
        if (err) return settle(() => reject(err));
        const code = message.headers?.code ?? 0;
        if (code === 0) {
          clearTimeout(timer);
          timer = setTimeout(silent, SILENCE_MS);
          messages.push(fromDirect(message));
        } else if (code === 204) {
          const pending = Number(message.headers?.get("Nats-Num-Pending") || 0);
          const upTo = Number(message.headers?.get("Nats-UpTo-Sequence") || 0) || undefined;
          settle(() => resolve({ messages, pending, upTo }));
        } else if (code === 404) settle(() => resolve({ messages, pending: 0, upTo: undefined }));
        else if (code === TOO_MANY) settle(() => resolve("too-many"));
        else settle(() => reject(new Error(`${stream}: ${code} ${message.headers?.description}`)));
      },
    });
    bus.nc.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(question), { reply: inbox });
  });
}

function fromDirect(message: Msg): Scanned {
  const header = rawHeader(message);
  return {
    subject: header("Nats-Subject") ?? "",
    sequence: Number(header("Nats-Sequence")),
    stored_ms: Date.parse(header("Nats-Time-Stamp") ?? ""),
    header,
  };
}
