import { type Bus, type DurabilityRecord, durabilityOf, measureDurability, recordDurability } from "@millrace/bus";
import { DURABILITIES, type Durability } from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import type { KeeperMetrics } from "../metrics.ts";

/**
 * Looks at what the broker guarantees and writes it where every service reads it, when it changed. Answers at each call
 * what was found. A server that does not answer is not counted: it acknowledges nothing either.
 */
export function durabilityChecker(of: {
  bus: Bus;
  system: Bus;
  declared: Durability;
  metrics: Pick<KeeperMetrics, "durability">;
  log: Logger;
}): () => Promise<Durability> {
  const { bus, system, declared, metrics, log } = of;
  let known: DurabilityRecord | undefined;
  return async () => {
    const facts = await measureDurability(bus, system);
    const found = { durability: durabilityOf(facts), evidence: facts.evidence };
    metrics.durability(DURABILITIES.indexOf(found.durability), DURABILITIES.indexOf(declared));
    if (known?.durability === found.durability && known.evidence === found.evidence) return found.durability;
    await recordDurability(bus, facts);
    const weaker = DURABILITIES.indexOf(found.durability) < DURABILITIES.indexOf(declared);
    if (weaker) log.error({ declared, ...found }, "the broker guarantees less than was declared");
    else log.info({ declared, ...found }, known ? "the broker's guarantee changed" : "the broker keeps its promise");
    known = found;
    return found.durability;
  };
}
