import type { MsgHdrs } from "nats";
import { matches } from "./subject-match.ts";

/** A message as a stream of the simulated broker holds it. */
export type Kept = { subject: string; headers: MsgHdrs | undefined; data: Uint8Array; sequence: number; at_ms: number };

/** What a publisher hands in. */
export type Publication = { subject: string; headers: MsgHdrs | undefined; data: Uint8Array };

/** An error as the JetStream API states it. https://github.com/nats-io/nats-server/blob/main/server/errors.json */
export type ApiError = { code: number; err_code: number; description: string };

export const API_ERRORS = {
  inFlight: { code: 400, err_code: 10164, description: "wrong last sequence" },
  full: { code: 503, err_code: 10077, description: "maximum bytes exceeded" },
  batchIncomplete: { code: 400, err_code: 10176, description: "atomic publish batch is incomplete" },
  consumerNotFound: { code: 404, err_code: 10014, description: "consumer not found" },
  consumerExists: { code: 400, err_code: 10148, description: "consumer already exists" },
  noMessage: { code: 404, err_code: 10037, description: "no message found" },
  streamNotFound: { code: 404, err_code: 10059, description: "stream not found" },
} as const satisfies Record<string, ApiError>;

const wrongLastSequence = (last: number): ApiError => ({
  code: 400,
  err_code: 10071,
  description: `wrong last sequence: ${last}`,
});

const EXPECTED = "Nats-Expected-Last-Subject-Sequence";

/** The compare-and-set of a publication: the last message under `filter` must have `sequence`. */
export function expectationOf({ subject, headers }: Publication): { filter: string; sequence: number } | undefined {
  const sequence = headers?.get(EXPECTED);
  if (!sequence) return undefined;
  return { filter: headers?.get(`${EXPECTED}-Subject`) || subject, sequence: Number(sequence) };
}

/** A stream with limits retention: what it holds, and its compare-and-set. */
export type Stream = {
  readonly name: string;
  readonly last: number;
  readonly size: number;
  owns(subject: string): boolean;
  get(sequence: number): Kept | undefined;
  all(): Iterable<Kept>;
  /** The last message under a filter, as it stood at a time. */
  lastOf(filter: string, at_ms?: number): Kept | undefined;
  /** Why the stream refuses these, or undefined. The messages of one batch do not see each other: hole 1 of FACTS.md. */
  refusal(batch: readonly Publication[]): ApiError | undefined;
  append(publication: Publication, at_ms: number): Kept;
  delete(sequence: number): boolean;
};

export function createStream(name: string, subjects: readonly string[]): Stream {
  const messages = new Map<number, Kept>();
  let last = 0;
  const lastOf: Stream["lastOf"] = (filter, at_ms = Number.POSITIVE_INFINITY) => {
    let found: Kept | undefined;
    for (const message of messages.values())
      if (message.at_ms <= at_ms && matches(filter, message.subject)) found = message;
    return found;
  };
  return {
    name,
    get last() {
      return last;
    },
    get size() {
      return messages.size;
    },
    owns: (subject) => subjects.some((filter) => matches(filter, subject)),
    get: (sequence) => messages.get(sequence),
    all: () => messages.values(),
    lastOf,
    refusal(batch) {
      for (const publication of batch) {
        const expected = expectationOf(publication);
        if (!expected) continue;
        const stands = lastOf(expected.filter)?.sequence ?? 0;
        if (stands !== expected.sequence) return wrongLastSequence(stands);
      }
      return undefined;
    },
    append(publication, at_ms) {
      const message = { ...publication, sequence: ++last, at_ms };
      messages.set(message.sequence, message);
      return message;
    },
    delete: (sequence) => messages.delete(sequence),
  };
}
