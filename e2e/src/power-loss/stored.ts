import type { Bus } from "@millrace/bus";
import {
  decodeOutcome,
  digestOf,
  HEADER_LENGTH,
  OUTCOMES,
  parseRequestSubject,
  REQUESTS_TENSOR,
} from "@millrace/contracts";

/** What the streams hold, read message by message. */
export type Stored = {
  /** Digest of each request's body, by id. */
  requests: Map<string, { sequence: number; digest: string }>;
  /** Outcomes by position. */
  outcomes: Map<number, { id: string; requestSequence: number; digest: string }>;
  /** Streams that do not exist any more. */
  missing: string[];
};

const PULL = 1_000;
const SILENCE_MS = 5_000;

/** Reads every request and every outcome that is stored now. */
export async function readStored(operator: Bus): Promise<Stored> {
  const stored: Stored = { requests: new Map(), outcomes: new Map(), missing: [] };
  const read = async (stream: string, take: (message: Message) => void) => {
    try {
      for await (const message of messages(operator, stream)) take(message);
    } catch (cause) {
      if ((cause as { api_error?: { code?: number } }).api_error?.code !== 404) throw cause;
      stored.missing.push(stream);
    }
  };
  await read(REQUESTS_TENSOR.name, ({ subject, seq, data }) => {
    const of = parseRequestSubject(subject);
    if (of) stored.requests.set(of.id, { sequence: seq, digest: digestOf(data) });
  });
  await read(OUTCOMES.name, ({ subject, seq, data, headers }) => {
    const length = headers?.get(HEADER_LENGTH);
    const outcome = decodeOutcome({ bytes: data, ...(length ? { headerLength: Number(length) } : {}) });
    if (!outcome.ok) throw new Error(`${subject}: ${outcome.problem.detail}`);
    const { id, request } = outcome.value;
    stored.outcomes.set(seq, { id, requestSequence: request.sequence, digest: digestOf(data) });
  });
  return stored;
}

type Message = {
  subject: string;
  seq: number;
  data: Uint8Array;
  headers?: { get(name: string): string } | undefined;
};

async function* messages(operator: Bus, stream: string): AsyncGenerator<Message> {
  const { state } = await operator.jsm.streams.info(stream);
  const consumer = await operator.js.consumers.get(stream);
  let left = state.messages;
  while (left > 0) {
    const before = left;
    for await (const message of await consumer.fetch({ max_messages: Math.min(PULL, left), expires: SILENCE_MS })) {
      left--;
      yield message;
    }
    if (left === before) throw new Error(`${left} of ${state.messages} messages of ${stream} could not be read`);
  }
}
