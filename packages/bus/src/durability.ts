import { canonicalBytes, DURABILITIES, DURABILITY_KEY, type Durability, STREAMS } from "@millrace/contracts";
import { RequestStrategy } from "nats";
import Type from "typebox";
import type { Bus } from "./bus.ts";
import { readStreamState } from "./stream-state.ts";
import { openTable } from "./tables.ts";
import { wait } from "./wait.ts";

/** How the `cluster` bucket states durability. */
export const DurabilityRecord = Type.Object({
  durability: Type.Enum([...DURABILITIES]),
  /** How it was found, for people. */
  evidence: Type.String(),
});
export type DurabilityRecord = Type.Static<typeof DurabilityRecord>;

/** What durability follows from, and how it was found. */
export type DurabilityFacts = { syncAlways: boolean; replicas: number; evidence: string };

/**
 * What an acknowledged publish has survived, as read from the servers' settings: written through (`fsync`), held by a
 * majority (`replicated`), or only handed to the operating system (`memory`).
 */
export function durabilityOf({ syncAlways, replicas }: Omit<DurabilityFacts, "evidence">): Durability {
  if (syncAlways) return "fsync";
  return replicas >= 3 ? "replicated" : "memory";
}

/** Whether a broker guarantees less than what was declared: memory < replicated < fsync. */
export const isWeaker = (found: Durability, declared: Durability): boolean =>
  DURABILITIES.indexOf(found) < DURABILITIES.indexOf(declared);

/** Follows what was written down; `memory` while nothing was, because nothing is known. */
export async function openDurability(
  bus: Bus,
): Promise<Disposable & { readonly level: Durability; readonly evidence: string }> {
  const table = await openTable(bus, "cluster", DurabilityRecord);
  return {
    get level() {
      return table.get(DURABILITY_KEY)?.durability ?? "memory";
    },
    get evidence() {
      return table.get(DURABILITY_KEY)?.evidence ?? "nobody has read the broker's settings yet: run the provisioner";
    },
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}

/**
 * Reads what the broker guarantees: `sync_interval` from every JetStream server over the system account, the copies from
 * the streams themselves. The weakest counts.
 * @throws when no server answers on the system account, or a stream is not there
 */
export async function measureDurability(bus: Bus, system: Bus): Promise<DurabilityFacts> {
  const { syncAlways, servers } = await readSyncAlways(system);
  const streams = await Promise.all(STREAMS.map(({ name }) => readStreamState(bus, name)));
  const replicas = Math.min(...streams.map((stream) => stream.replicas));
  const evidence = `${servers} server(s), sync_interval ${syncAlways ? "always" : "periodic"}, ${replicas} replica(s)`;
  return { syncAlways, replicas, evidence };
}

/** Writes what a publish acknowledgement means to the `cluster` bucket, where every service reads it. */
export async function recordDurability(bus: Bus, facts: DurabilityFacts): Promise<void> {
  const kv = await bus.js.views.kv("cluster", { bindOnly: true });
  await kv.put(DURABILITY_KEY, canonicalBytes({ durability: durabilityOf(facts), evidence: facts.evidence }));
}

/**
 * Reads `sync_interval` of every JetStream server through the system account: true when all of them write through. Asks
 * again while fewer answer than the cluster has; one that is down does not count until it is back.
 * @throws when none answers
 */
export async function readSyncAlways(system: Bus): Promise<{ syncAlways: boolean; servers: number }> {
  for (let attempt = 1; ; attempt++) {
    const { size, ...found } = await askServers(system);
    if (found.servers >= size && found.servers > 0) return found;
    if (attempt < ASK_TRIES) await wait(ASK_AGAIN_MS);
    else if (found.servers > 0) return found;
    else throw new Error("no JetStream server answered on the system account; durability is not known");
  }
}

const ASK_TRIES = 5;
const ASK_AGAIN_MS = 500;

async function askServers(system: Bus): Promise<{ syncAlways: boolean; servers: number; size: number }> {
  const inbox = await system.nc.requestMany("$SYS.REQ.SERVER.PING.JSZ", JSON.stringify({ config: true }), {
    maxWait: 2_000,
    maxMessages: 64,
    strategy: RequestStrategy.JitterTimer,
  });
  let servers = 0;
  let syncAlways = true;
  let size = 1;
  for await (const message of inbox) {
    const { data } = message.json<{ data?: ServerAnswer }>();
    if (!data?.config) continue;
    servers++;
    syncAlways &&= data.config.sync_always === true;
    size = Math.max(size, data.meta_cluster?.cluster_size ?? 1);
  }
  return { syncAlways, servers, size };
}

type ServerAnswer = { config?: { sync_always?: boolean }; meta_cluster?: { cluster_size?: number } };
