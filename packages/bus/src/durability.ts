import { DURABILITIES, DURABILITY_KEY, type Durability } from "@millrace/contracts";
import Type from "typebox";
import type { Bus } from "./bus.ts";
import { openTable } from "./tables.ts";

/** How the `cluster` bucket states durability. */
export const DurabilityRecord = Type.Object({
  durability: Type.Enum([...DURABILITIES]),
  /** How it was found, for people. */
  evidence: Type.String(),
});

/**
 * What an acknowledged publish has survived, as read from the servers' settings: written through (`fsync`), held by a
 * majority (`replicated`), or only handed to the operating system (`memory`).
 */
export function durabilityOf(server: { syncAlways: boolean; replicas: number }): Durability {
  if (server.syncAlways) return "fsync";
  return server.replicas >= 3 ? "replicated" : "memory";
}

/** Follows what the provisioner wrote; `memory` while it has written nothing, because nothing is known. */
export async function openDurability(bus: Bus): Promise<Disposable & { readonly level: Durability }> {
  const table = await openTable(bus, "cluster", DurabilityRecord);
  return {
    get level() {
      return table.get(DURABILITY_KEY)?.durability ?? "memory";
    },
    [Symbol.dispose]: () => table[Symbol.dispose](),
  };
}
