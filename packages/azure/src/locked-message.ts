import type { ServiceBusReceivedMessage } from "@azure/service-bus";
import { toFailure } from "./failure.ts";

/** What was received, as far as anybody here reads it. `body` is the bytes as they were sent, or what the sender's library made of it. */
export type ReceivedMessage = Pick<
  ServiceBusReceivedMessage,
  | "messageId"
  | "correlationId"
  | "contentType"
  | "applicationProperties"
  | "body"
  | "replyTo"
  | "replyToSessionId"
  | "sessionId"
  | "deliveryCount"
  | "enqueuedTimeUtc"
> & { sequenceNumber?: { toString(): string } };

/** Whether Service Bus confirmed a settlement. When it did not, the message may come again. */
export type Settled = { ok: true } | { ok: false; why: string };

/** A message in peek-lock: nobody else is given it before it is settled. Its lock is renewed for as long as that takes. */
export type LockedMessage = {
  readonly message: ReceivedMessage;
  /** The lock is lost: somebody else may be given the message, or has been. */
  readonly lost: boolean;
  complete(): Promise<Settled>;
  /** Gives it back, which counts as a delivery. */
  abandon(): Promise<Settled>;
  deadLetter(reason: string, description: string): Promise<Settled>;
};

/** What settles a message. */
export type Settlements = {
  complete(): Promise<void>;
  abandon(): Promise<void>;
  deadLetter(reason: { deadLetterReason: string; deadLetterErrorDescription: string }): Promise<void>;
};

/** What is locked, and until when. */
export type Lock = { lockedUntil(): Date | undefined; renew(): Promise<unknown> };

/** The service's own bounds of a dead letter's texts. */
const TEXT_MAX = 4_096;
/** The SDK waits a minute for the answer to a settlement; by then most locks are gone, and the message comes again. */
const SETTLE_TIMEOUT_MS = 10_000;

/** A message whose lock is lost when `isLost` says so; settled once. */
export function lockedMessage(
  message: ReceivedMessage,
  { complete, abandon, deadLetter }: Settlements,
  isLost: () => boolean,
): LockedMessage {
  let over = false;
  const settle = async (act: () => Promise<void>): Promise<Settled> => {
    if (over) return { ok: false, why: "it was settled before" };
    over = true;
    return await answered(act());
  };
  return {
    message,
    get lost() {
      return isLost();
    },
    complete: () => settle(complete),
    abandon: () => settle(abandon),
    deadLetter: (reason, description) =>
      settle(() =>
        deadLetter({
          deadLetterReason: reason.slice(0, TEXT_MAX),
          deadLetterErrorDescription: description.slice(0, TEXT_MAX),
        }),
      ),
  };
}

/** Renewed so often at most, however long the lock; a message that is settled within that time costs no renewal. */
const RENEW_EVERY_MS = 10_000;
const RENEW_EVERY_MS_MIN = 250;

/** Renews a lock until it is ended or lost. A renewal that fails for another reason is tried again while the lock lasts. */
export function renewing(lock: Lock): { readonly lost: boolean; end(): void } {
  let lost = false;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const left = () => (lock.lockedUntil()?.getTime() ?? 0) - Date.now();
  const next = () => {
    if (ended || lost) return;
    timer = setTimeout(renew, Math.min(RENEW_EVERY_MS, Math.max(RENEW_EVERY_MS_MIN, left() / 2)));
    timer.unref();
  };
  const renew = async () => {
    try {
      await lock.renew();
    } catch (cause) {
      // Without an answer the lock is believed for as long as it was given.
      if (isLockLost(cause) || left() <= 0) lost = true;
    }
    next();
  };
  next();
  return {
    get lost() {
      return lost;
    },
    end() {
      ended = true;
      clearTimeout(timer);
    },
  };
}

const LOST = ["MessageLockLost", "SessionLockLost", "MessageNotFound"];
const isLockLost = (cause: unknown): boolean => LOST.includes(String((cause as { code?: unknown } | undefined)?.code));

async function answered(settling: Promise<void>): Promise<Settled> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Settled>((resolve) => {
    timer = setTimeout(resolve, SETTLE_TIMEOUT_MS, { ok: false, why: `no answer within ${SETTLE_TIMEOUT_MS} ms` });
  });
  const done = settling.then(
    (): Settled => ({ ok: true }),
    (cause: unknown): Settled => ({ ok: false, why: toFailure(cause).why }),
  );
  return await Promise.race([done, late]).finally(() => clearTimeout(timer));
}
