import { setTimeout as sleep } from "node:timers/promises";
import { type Bus, listConsumers } from "@millrace/bus";

/** Asks until the answer is yes. @throws when it is not in time */
export async function poll(
  ask: () => Promise<boolean>,
  { within_ms, every_ms }: { within_ms: number; every_ms: number },
): Promise<void> {
  const deadline = performance.now() + within_ms;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`not so within ${within_ms} ms: ${ask}`);
    await sleep(every_ms);
  }
}

/** Whether every durable consumer of a stream has acknowledged all it is to have. */
export async function isQuiet(bus: Bus, stream: string): Promise<boolean> {
  const consumers = await listConsumers(bus, stream);
  return consumers.every(({ pending, ack_pending }) => pending === 0 && ack_pending === 0);
}
