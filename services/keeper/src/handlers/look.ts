import { type Bus, type ConsumerState, listConsumers, readNext, readStreamState } from "@millrace/bus";
import { STREAMS } from "@millrace/contracts";
import { hasWork } from "../domain/standing.ts";
import type { KeeperMetrics } from "../metrics.ts";

/** Questions under way at once: there may be thousands of lanes. */
const AT_ONCE = 16;

/** Shows what every stream holds, and how far each of its consumers is: for those who watch, and for scaling by backlog. */
export async function look({ bus, metrics }: { bus: Bus; metrics: Pick<KeeperMetrics, "looked"> }): Promise<void> {
  const names = STREAMS.map(({ name }) => name);
  const streams = await Promise.all(names.map((name) => readStreamState(bus, name)));
  const consumers = (await Promise.all(names.map((name) => listConsumers(bus, name)))).flat();
  const ages = new Map<ConsumerState, number>();
  const left = consumers.filter(hasWork).values();
  const worker = async () => {
    for (const consumer of left) ages.set(consumer, await oldestWaiting(bus, consumer));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  metrics.looked(
    streams,
    consumers.map((consumer) => ({ ...consumer, oldest_waiting_ms: ages.get(consumer) ?? 0 })),
  );
}

/** Age of the first message behind what is acknowledged; 0 when it has been acknowledged, or removed, meanwhile. */
async function oldestWaiting(bus: Bus, { stream, filters, acknowledged_sequence }: ConsumerState): Promise<number> {
  const sequence = acknowledged_sequence + 1;
  const stored = await Promise.all(
    (filters.length > 0 ? filters : [">"]).map((filter) => readNext(bus, stream, { sequence, filter })),
  );
  const times = stored.flatMap((message) => (message ? [message.stored_at.getTime()] : []));
  return times.length === 0 ? 0 : Math.max(0, Date.now() - Math.min(...times));
}
