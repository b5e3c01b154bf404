import type { ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import { bounded } from "./bounded.ts";
import { type SendFailure, toFailure } from "./failure.ts";
import { linkState } from "./link-state.ts";
import { type LockedMessage, lockedMessage, renewing, type Settlements } from "./locked-message.ts";
import { peekPage } from "./peek.ts";

/** A queue, or a topic's subscription. */
export type MessageOrigin = { queue: string } | { topic: string; subscription: string };

export type ReceiveOptions = {
  /** Messages in hand at once. One that is in hand for long leaves its place to nobody: receiving stops by itself. */
  concurrency: number;
  /**
   * Called with each message, which it settles. One that it leaves unsettled comes again when its lock is over.
   * Must not throw.
   */
  onMessage(message: LockedMessage): Promise<void>;
  /** Told why nothing can be received, and (undefined) that it can be again. */
  onState(trouble: SendFailure | undefined): void;
};

/** Stops receiving, waits for what is in hand, then closes. */
export type Receiver = AsyncDisposable;

/** The SDK's options of every receiver here. It renews locks only while the link lives; ours go on. */
export const PEEK_LOCK = {
  receiveMode: "peekLock",
  skipParsingBodyAsJson: true,
  maxAutoLockRenewalDurationInMs: 0,
} as const;

const REOPEN_DELAYS_MS = [500, 1_000, 2_000, 5_000, 10_000] as const;
/** After these the SDK would try five times a second, for ever. */
const isOfEntity = ({ kind }: SendFailure) => kind === "not-found" || kind === "unauthorized";

/**
 * Receives from a queue or subscription without sessions, for as long as it lives: links that are lost are made again,
 * and what is in hand meanwhile stays in hand, locked by renewals that need no link.
 */
export function openReceiver(
  client: ServiceBusClient,
  from: MessageOrigin,
  { concurrency, onMessage, onState }: ReceiveOptions,
): Receiver {
  const create = () => receiverOf(client, from);
  /** Settles, renews and peeks, whichever link a message came by: without that link the service goes by the lock's token. */
  const settler = create();
  let link: Link | undefined;
  let reopenings = 0;
  let reopening: NodeJS.Timeout | undefined;
  let stopping = false;
  const inHand = new Set<Promise<void>>();

  const state = linkState(() => peekPage(settler, 1), onState);

  const take = async (message: ServiceBusReceivedMessage) => {
    const renewal = renewing({
      lockedUntil: () => message.lockedUntilUtc,
      renew: () => settler.renewMessageLock(message),
    });
    const locked = lockedMessage(message, settlementsOf(settler, message), () => renewal.lost);
    try {
      await onMessage(locked);
    } finally {
      renewal.end();
    }
  };

  const open = (): void => {
    reopening = undefined;
    if (stopping) return;
    const receiver = create();
    const subscription = receiver.subscribe(
      {
        processMessage(message) {
          reopenings = 0;
          state.say(undefined);
          const taken = take(message).finally(() => {
            inHand.delete(taken);
            if (!link && !reopening && inHand.size < concurrency) open();
          });
          inHand.add(taken);
          // Each new link grants as many messages as the first did, also while those of the old one are in hand.
          if (inHand.size >= 2 * concurrency) void close();
          return taken;
        },
        async processError({ error, errorSource }) {
          if (link?.receiver !== receiver || errorSource !== "receive") return;
          const failure = toFailure(error);
          state.say(failure);
          if (isOfEntity(failure)) reopen();
        },
      },
      { autoCompleteMessages: false, maxConcurrentCalls: concurrency },
    );
    link = { receiver, subscription };
  };
  const close = async () => {
    const closing = link;
    link = undefined;
    await bounded(closing?.subscription.close());
    await bounded(closing?.receiver.close());
  };
  const reopen = () => {
    if (reopening || stopping) return;
    void close();
    const delay_ms = REOPEN_DELAYS_MS[Math.min(reopenings++, REOPEN_DELAYS_MS.length - 1)];
    reopening = setTimeout(open, delay_ms);
    reopening.unref();
  };

  open();
  return {
    async [Symbol.asyncDispose]() {
      stopping = true;
      state[Symbol.dispose]();
      clearTimeout(reopening);
      await bounded(link?.subscription.close());
      await Promise.all(inHand);
      await close();
      await bounded(settler.close());
    },
  };
}

/** The SDK's settlements of a message. */
export const settlementsOf = (receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage): Settlements => ({
  complete: () => receiver.completeMessage(message),
  abandon: () => receiver.abandonMessage(message),
  deadLetter: (reason) => receiver.deadLetterMessage(message, reason),
});

/** A receiver of an entity, or of its dead letters; it has no link before it receives. */
export function receiverOf(client: ServiceBusClient, from: MessageOrigin, deadLetters = false): ServiceBusReceiver {
  const options = deadLetters ? ({ ...PEEK_LOCK, subQueueType: "deadLetter" } as const) : PEEK_LOCK;
  return "queue" in from
    ? client.createReceiver(from.queue, options)
    : client.createReceiver(from.topic, from.subscription, options);
}

type Link = { receiver: ServiceBusReceiver; subscription: { close(): Promise<void> } };
