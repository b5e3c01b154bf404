import type { Logger } from "@millrace/kit";
import { type JetStreamClient, type NatsConnection, NatsError } from "nats";
import type { HeaderBlock } from "./header-block.ts";
import { messageHeaders, type Outgoing, type Stored } from "./outgoing.ts";
import { wait } from "./wait.ts";

/** JetStream error codes that decide. https://github.com/nats-io/nats-server/blob/main/server/errors.json */
export const WRONG_LAST_SEQUENCE = 10071; // a message exists: someone wrote before us
export const FULL: readonly number[] = [10077, 10047, 10023]; // stream, store or account limit reached
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
 * Stores a message under compare-and-set. Answers `stored: false` when another exists than the one expected. "In
 * flight" (10164), no responders and time-outs mean unknown: they are tried again, which compare-and-set makes safe.
 * @throws StorageFullError, UnconfirmedError
 */
export async function publishSingle(
  to: PublishTarget,
  message: Outgoing,
  headers: HeaderBlock = messageHeaders(message),
): Promise<Stored> {
  for (let attempt = 1; ; attempt++) {
    try {
      const ack = await to.js.publish(message.subject, message.body, { headers });
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
      await wait(100 * 2 ** attempt + Math.random() * 100); // not crypto's: a simulated world replaces it
    }
  }
}
