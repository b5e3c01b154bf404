import { HEADER_LENGTH } from "@millrace/contracts";
import { NatsError, type StoredMsg } from "nats";
import type { Bus } from "./bus.ts";

/** A message as its stream holds it. */
export type StoredMessage = {
  subject: string;
  sequence: number;
  body: Uint8Array;
  headerLength?: number;
  stored_at: Date;
  header(name: string): string | undefined;
};

const NOT_FOUND = "404";

/**
 * The last message of a stream whose subject matches `filter`, as any replica knows it: one that is behind may not have
 * what was stored a moment ago.
 * @throws NatsError when no server answers in time.
 */
export async function readLastDirect(bus: Bus, stream: string, filter: string): Promise<StoredMessage | undefined> {
  const found = await orAbsent(bus.jsm.direct.getMessage(stream, { last_by_subj: filter }));
  return found && fromStored(found);
}

/**
 * The last message of a stream whose subject matches `filter`, or undefined. Asks for a direct get first; since a
 * replica may be behind, "not found" is believed only from the stream's leader.
 * @throws NatsError when no server answers in time.
 */
export async function readLast(bus: Bus, stream: string, filter: string): Promise<StoredMessage | undefined> {
  return (await readLastDirect(bus, stream, filter)) ?? (await readLastFromLeader(bus, stream, filter));
}

/** The same from the stream's leader, who is never behind: for a decision that follows from what is found.
 * @throws NatsError when no server answers in time. */
export async function readLastFromLeader(bus: Bus, stream: string, filter: string): Promise<StoredMessage | undefined> {
  const found = await orAbsent(bus.jsm.streams.getMessage(stream, { last_by_subj: filter }));
  return found && fromStored(found);
}

/** The message at a position, or undefined when it was never there or is not retained any more.
 * @throws NatsError when no server answers in time. */
export async function readAt(bus: Bus, stream: string, sequence: number): Promise<StoredMessage | undefined> {
  const found = await orAbsent(bus.jsm.streams.getMessage(stream, { seq: sequence }));
  return found && fromStored(found);
}

/** The first message at or behind a position whose subject matches `filter`, by the stream's leader.
 * @throws NatsError when no server answers in time. */
export async function readNext(
  bus: Bus,
  stream: string,
  next: { sequence: number; filter: string },
): Promise<StoredMessage | undefined> {
  const query = { seq: next.sequence, next_by_subj: next.filter };
  const found = await orAbsent(bus.jsm.streams.getMessage(stream, query));
  return found && fromStored(found);
}

async function orAbsent(reading: Promise<StoredMsg | null>): Promise<StoredMsg | undefined> {
  try {
    return (await reading) ?? undefined;
  } catch (cause) {
    if (cause instanceof NatsError && (cause.code === NOT_FOUND || cause.api_error?.code === 404)) return undefined;
    throw cause;
  }
}

function fromStored(message: StoredMsg): StoredMessage {
  const length = message.header?.get(HEADER_LENGTH);
  return {
    subject: message.subject,
    sequence: message.seq,
    body: message.data,
    ...(length ? { headerLength: Number(length) } : {}),
    stored_at: message.time,
    header: (name) => message.header?.get(name) || undefined,
  };
}
