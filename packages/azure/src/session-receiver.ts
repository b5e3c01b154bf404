import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceBusClient, ServiceBusSessionReceiver } from "@azure/service-bus";
import { bounded } from "./bounded.ts";
import { toFailure } from "./failure.ts";
import { linkState } from "./link-state.ts";
import { lockedMessage, renewing } from "./locked-message.ts";
import { peekPage } from "./peek.ts";
import {
  type MessageOrigin,
  PEEK_LOCK,
  type ReceiveOptions,
  type Receiver,
  receiverOf,
  settlementsOf,
} from "./receiver.ts";

export type SessionReceiveOptions = Omit<ReceiveOptions, "concurrency"> & {
  /** Sessions held at once. */
  sessions: number;
  /** A session that brings nothing for so long is released, for others to have their turn. */
  idle_ms: number;
};

const AGAIN_DELAYS_MS = [500, 1_000, 2_000, 5_000, 10_000] as const;
/** No session has messages: the service let the time pass, as it was asked to. */
const NO_SESSION = ["ServiceTimeout", "SessionCannotBeLocked"];

/**
 * Receives from a queue or subscription with sessions: holds up to so many at once, each in order, one message after the
 * other. A session whose lock or link is lost is given up; the next that is free may be the same one.
 */
export function openSessionReceiver(
  client: ServiceBusClient,
  from: MessageOrigin,
  { sessions, idle_ms, onMessage, onState }: SessionReceiveOptions,
): Receiver {
  const stopping = new AbortController();
  const open = new Set<ServiceBusSessionReceiver>();
  const looker = receiverOf(client, from);
  const state = linkState(() => peekPage(looker, 1), onState);
  const accept = () =>
    "queue" in from
      ? client.acceptNextSession(from.queue, PEEK_LOCK)
      : client.acceptNextSession(from.topic, from.subscription, PEEK_LOCK);

  const next = async (): Promise<ServiceBusSessionReceiver | undefined> => {
    for (let tries = 1; !stopping.signal.aborted; ) {
      try {
        const session = await accept();
        state.say(undefined);
        if (!stopping.signal.aborted) return session;
        await bounded(session.close()); // accepted while stopping began
      } catch (cause) {
        const code = String((cause as { code?: unknown }).code);
        if (NO_SESSION.includes(code)) {
          state.say(undefined);
          continue;
        }
        state.say(toFailure(cause));
        const delay_ms = AGAIN_DELAYS_MS[Math.min(tries++, AGAIN_DELAYS_MS.length) - 1];
        await sleep(delay_ms, undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
    return undefined;
  };
  const slot = async () => {
    for (let session = await next(); session; session = await next()) {
      open.add(session);
      await work(session, { idle_ms, signal: stopping.signal, onMessage });
      open.delete(session);
    }
  };
  const slots = Array.from({ length: sessions }, slot);
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      state[Symbol.dispose]();
      // A session that is being asked for comes late or never; the client's closing ends that.
      await Promise.race([Promise.all(slots), idle(open)]);
      await bounded(looker.close());
    },
  };
}

/** Until nothing is held any more. */
async function idle(open: ReadonlySet<unknown>): Promise<void> {
  while (open.size > 0) await sleep(20);
}

/** Takes what a session has until it is idle, or lost, or everything stops; then releases it. */
async function work(
  session: ServiceBusSessionReceiver,
  { idle_ms, signal, onMessage }: Pick<SessionReceiveOptions, "idle_ms" | "onMessage"> & { signal: AbortSignal },
): Promise<void> {
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const renewal = renewing({
    lockedUntil: () => session.sessionLockedUntilUtc,
    renew: () => session.renewSessionLock(),
  });
  const isLost = () => renewal.lost || session.isClosed;
  let inHand: Promise<void> | undefined;
  let timer = setTimeout(end, idle_ms);
  signal.addEventListener("abort", () => end(), { once: true });
  const subscription = session.subscribe(
    {
      processMessage(message) {
        clearTimeout(timer);
        inHand = onMessage(lockedMessage(message, settlementsOf(session, message), isLost)).finally(() => {
          inHand = undefined;
          if (isLost()) end();
          else timer = setTimeout(end, idle_ms);
        });
        return inHand;
      },
      processError: async ({ errorSource }) => {
        if (errorSource === "receive") end();
      },
    },
    { autoCompleteMessages: false, maxConcurrentCalls: 1 },
  );
  await over;
  clearTimeout(timer);
  await bounded(subscription.close());
  await inHand;
  clearTimeout(timer);
  renewal.end();
  await bounded(session.close());
}
