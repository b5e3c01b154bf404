import { randomInt } from "node:crypto";
import type { Logger } from "@millrace/kit";
import { type JetStreamClient, type NatsConnection, NatsError } from "nats";
import { messageHeaders, type Outgoing, type Stored } from "./outgoing.ts";
import { wait } from "./wait.ts";

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

export type PublishTarget = { nc: NatsConnection; js: JetStreamClient; log: Logger };

/**
 * Stores a message under compare-and-set, expecting that none exists. Answers `stored: false` when one does. "In
 * flight" (10164), no responders and time-outs mean unknown: they are tried again, which compare-and-set makes safe.
 * @throws StorageFullError, UnconfirmedError
 */
export async function publishSingle(to: PublishTarget, message: Outgoing): Promise<Stored> {
  for (let attempt = 1; ; attempt++) {
    try {
      const ack = await to.js.publish(message.subject, message.body, { headers: messageHeaders(message) });
      return { stored: true, stream: ack.stream, sequence: ack.seq };
    } catch (cause) {
      const code = cause instanceof NatsError ? cause.api_error?.err_code : undefined;
      // After an unconfirmed try the message that exists may be our own; the caller compares and finds it equal.
      if (code === WRONG_LAST_SEQUENCE) return { stored: false };
      if (code !== undefined && FULL.includes(code))
        throw new StorageFullError(`the stream of ${message.subject} is full: ${(cause as Error).message}`, { cause });
      if (cause instanceof NatsError && cause.code === "PERMISSIONS_VIOLATION") throw cause;
      if (attempt === PUBLISH_TRIES || to.nc.isClosed())
        throw new UnconfirmedError(`the broker did not confirm ${message.subject} in ${attempt} tries`, { cause });
      to.log.warn({ err: cause, subject: message.subject, attempt }, "publish not confirmed; trying again");
      await wait(100 * 2 ** attempt + randomInt(100));
    }
  }
}
