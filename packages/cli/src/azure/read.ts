import type { Administration } from "@millrace/azure";
import type { WantedEntity } from "@millrace/contracts";
import type { Actual, ActualEntity } from "./plan.ts";

/** Questions under way at once: a namespace that is asked faster answers that it is busy. */
const AT_ONCE = 8;

/** Reads what is there of what is wanted. Other queues and topics of the namespace are nobody's business here. */
export async function readActual(administration: Administration, wanted: readonly WantedEntity[]): Promise<Actual> {
  const tier = await administration.tier();
  const entities = new Map<string, ActualEntity>();
  await eachOf(wanted, async ({ name, subscriptions }) => {
    const entity = await administration.entity(name);
    if (!entity) return;
    const found = entity.kind === "topic" ? await administration.subscriptions(entity.name) : [];
    const asked = new Set(subscriptions.map((it) => it.name.toLowerCase()));
    const complete = found.map((subscription) => ({ ...subscription, rules: [] as ActualRules }));
    for (const subscription of complete)
      if (asked.has(subscription.name.toLowerCase()))
        subscription.rules = await administration.rules(entity.name, subscription.name);
    entities.set(name.toLowerCase(), { ...entity, subscriptions: complete });
  });
  return { tier, entities };
}

type ActualRules = Awaited<ReturnType<Administration["rules"]>>;

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}
