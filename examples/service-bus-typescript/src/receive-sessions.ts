import { isServiceBusError, type ServiceBusClient } from "@azure/service-bus";
import type { Handler } from "./handler.ts";
import { pause } from "./pause.ts";
import { nextSession, type Source } from "./receiver.ts";

/** Sessions held at once: each is handled in order, and none waits for another. */
const SESSIONS = 8;
/** A session that is silent for so long makes room for another. */
const IDLE_MS = 2_000;
const PAUSE_MS = 1_000;

/** Receives session by session until the signal; a session that is held is let go between two messages. */
export async function receiveSessions(
  client: ServiceBusClient,
  source: Source,
  handler: Handler,
  signal: AbortSignal,
): Promise<void> {
  const holders = Array.from({ length: SESSIONS }, async () => {
    while (!signal.aborted)
      try {
        await holdOne(client, source, handler, signal);
      } catch (error) {
        if (signal.aborted) return;
        // No session has messages just now: that is not trouble. Anything else may pass.
        const { code, message } = error as { code?: string; message: string };
        if (isServiceBusError(error) && (code === "ServiceTimeout" || code === "SessionCannotBeLocked")) continue;
        console.error(`${message} (trying again)`);
        await pause(PAUSE_MS, signal);
      }
  });
  await Promise.all(holders);
}

async function holdOne(client: ServiceBusClient, source: Source, handler: Handler, signal: AbortSignal): Promise<void> {
  const receiver = await unlessAborted(nextSession(client, source), signal);
  if (receiver === undefined) return;
  try {
    while (!signal.aborted) {
      // One at a time: of several, those behind one that goes back would overtake it.
      const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: IDLE_MS });
      if (message === undefined) return;
      if (!(await handler.handle(receiver, message))) await pause(PAUSE_MS, signal);
    }
  } finally {
    await receiver.close();
  }
}

/** The SDK waits for a session to the end of its timeout, whatever its `abortSignal` says. What still comes is closed with the client. */
async function unlessAborted<T>(waiting: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = () => aborted.resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([waiting, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    waiting.catch(() => {});
  }
}
