/** One application of the `servicebus` benchmark: the bare SDK, flat out. */

// biome-ignore lint/style/noRestrictedImports: the benchmark is of the broker under the bare SDK
import { ServiceBusClient, type ServiceBusReceiver } from "@azure/service-bus";
import { serve } from "../room/worker.ts";
import { concurrently } from "./concurrently.ts";

const BATCH = 100;
const SENDS_IN_FLIGHT = 8;
const BODY = Buffer.alloc(1_024, 0x78);
/** The SDK takes no more unsettled messages than this on one link. */
const HELD_BY_ONE = 2_000;
const RECEIVED_AT_ONCE = 1_000;
const WAIT = { maxWaitTimeInMs: 30_000 };
/** Nobody renews: each lock lasts as long as the queue says. */
const NO_RENEWAL = { maxAutoLockRenewalDurationInMs: 0 };

const client = new ServiceBusClient(process.env.BENCH_SERVICEBUS ?? "");
const sender = client.createSender("bench");
const receiver = client.createReceiver("bench", NO_RENEWAL);

const jobs = {
  /** Batches of 100 × 1 KiB, eight in flight; answers the time in ms. */
  async send({ messages }: { messages: number }): Promise<number> {
    const batch = Array.from({ length: BATCH }, () => ({ body: BODY }));
    const started = performance.now();
    await concurrently(messages / BATCH, SENDS_IN_FLIGHT, () => sender.sendMessages(batch));
    return performance.now() - started;
  },

  /** Receives and completes so many; answers the time in ms. */
  async receive({ messages }: { messages: number }): Promise<number> {
    const started = performance.now();
    for (let left = messages; left > 0; ) left -= await take(receiver, Math.min(left, RECEIVED_AT_ONCE), true);
    return performance.now() - started;
  },

  /** Locks so many and keeps them. */
  async hold({ messages }: { messages: number }): Promise<void> {
    for (let left = messages; left > 0; left -= HELD_BY_ONE) {
      const holder = client.createReceiver("bench", NO_RENEWAL);
      for (let wanted = Math.min(left, HELD_BY_ONE); wanted > 0; ) wanted -= await take(holder, wanted, false);
    }
  },
};
export type ServiceBusClientJobs = typeof jobs;

serve(jobs, () => client.close());

async function take(from: ServiceBusReceiver, count: number, complete: boolean): Promise<number> {
  const messages = await from.receiveMessages(count, WAIT);
  if (messages.length === 0) throw new Error(`no message came within ${WAIT.maxWaitTimeInMs} ms`);
  if (complete) await Promise.all(messages.map((message) => from.completeMessage(message)));
  return messages.length;
}
