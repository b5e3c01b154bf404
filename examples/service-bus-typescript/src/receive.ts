import type { ServiceBusClient } from "@azure/service-bus";
import type { Handler } from "./handler.ts";
import { pause } from "./pause.ts";
import { createReceiver, type Source } from "./receiver.ts";

/** Messages handled at once. Without sessions there is no order to keep. */
const AT_ONCE = 16;
/** What nobody can do anything with yet should not come back in the same instant. */
const PAUSE_MS = 1_000;

/** Receives until the signal; then no new message is taken, and those under way are finished. */
export async function receive(
  client: ServiceBusClient,
  source: Source,
  handler: Handler,
  signal: AbortSignal,
): Promise<void> {
  const receiver = createReceiver(client, source);
  const underWay = new Set<Promise<void>>();
  const subscription = receiver.subscribe(
    {
      async processMessage(message) {
        if (signal.aborted) return void (await receiver.abandonMessage(message));
        const handling = handler.handle(receiver, message).then(async (settled) => {
          if (!settled) await pause(PAUSE_MS, signal);
        });
        underWay.add(handling);
        await handling.finally(() => underWay.delete(handling));
      },
      // Lost links are made again by the SDK, for as long as the subscription is open.
      async processError({ error }) {
        console.error(`${error.message} (trying again)`);
        await pause(PAUSE_MS, signal);
      },
    },
    { autoCompleteMessages: false, maxConcurrentCalls: AT_ONCE },
  );
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  await subscription.close();
  await Promise.allSettled(underWay);
  await receiver.close();
}
