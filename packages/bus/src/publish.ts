import { randomInt } from "node:crypto";
import type { Envelope } from "@millrace/contracts";
import { HEADER_LENGTH, toHeaders } from "@millrace/contracts";
import { headers, NatsError } from "nats";
import { type Bus, wait } from "./bus.ts";

/** A message to store at most once: it is refused while any message exists whose subject matches `exclusive`. */
export type Outgoing = {
  subject: string;
  /** Filter of the compare-and-set; every writer for one thing must use the same string. */
  exclusive: string;
  envelope: Envelope;
  body: Uint8Array;
  /** Length of the JSON part when binary tensors follow it. */
  headerLength?: number;
  /** Further headers. */
  headers?: Readonly<Record<string, string>>;
};

export type Stored = { stored: true; stream: string; sequence: number } | { stored: false };

/** JetStream error codes that decide. https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const WRONG_LAST_SEQUENCE = 10071; // a message exists: someone wrote before us
const FULL = [10077, 10047, 10023]; // stream, store or account limit reached
const PUBLISH_TRIES = 5;

/** The streams cannot take more; nothing was stored. */
export class StorageFullError extends Error {
  override name = "StorageFullError";
}
/** The broker did not say whether the message was stored. Publishing the same message again is safe. */
export class UnconfirmedError extends Error {
  override name = "UnconfirmedError";
}

/**
 * Stores a message under compare-and-set, expecting that none exists. Answers `stored: false` when one does. "In
 * flight" (10164), no responders and time-outs mean unknown: they are tried again, which compare-and-set makes safe.
 * @throws StorageFullError, UnconfirmedError
 */
export async function publishOnce(bus: Bus, message: Outgoing): Promise<Stored> {
  let unconfirmed = false;
  for (let attempt = 1; ; attempt++) {
    try {
      const ack = await bus.js.publish(message.subject, message.body, { headers: natsHeaders(message) });
      return { stored: true, stream: ack.stream, sequence: ack.seq };
    } catch (cause) {
      const code = cause instanceof NatsError ? cause.api_error?.err_code : undefined;
      // After an unconfirmed try the message that exists may be our own; the caller compares and finds it equal.
      if (code === WRONG_LAST_SEQUENCE) return { stored: false };
      if (code !== undefined && FULL.includes(code))
        throw new StorageFullError(`the stream of ${message.subject} is full: ${(cause as Error).message}`, { cause });
      if (cause instanceof NatsError && cause.code === "PERMISSIONS_VIOLATION") throw cause;
      unconfirmed = true;
      if (attempt === PUBLISH_TRIES || bus.nc.isClosed())
        throw new UnconfirmedError(`the broker did not confirm ${message.subject} in ${attempt} tries`, { cause });
      bus.log.warn(
        { err: cause, subject: message.subject, attempt, unconfirmed },
        "publish not confirmed; trying again",
      );
      await wait(100 * 2 ** attempt + randomInt(100));
    }
  }
}

function natsHeaders(message: Outgoing) {
  const all = headers();
  for (const [name, value] of Object.entries(toHeaders(message.envelope))) all.set(name, value);
  for (const [name, value] of Object.entries(message.headers ?? {})) all.set(name, value);
  if (message.headerLength !== undefined) all.set(HEADER_LENGTH, String(message.headerLength));
  all.set("Nats-Expected-Last-Subject-Sequence", "0");
  all.set("Nats-Expected-Last-Subject-Sequence-Subject", message.exclusive);
  return all;
}
