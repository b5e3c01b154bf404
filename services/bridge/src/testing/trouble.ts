import { setTimeout as sleep } from "node:timers/promises";
import { openServiceBus } from "@millrace/azure";
import { followOutcomes } from "@millrace/bus";
import { digestOf, type Route } from "@millrace/contracts";
import { storeOutcomes } from "./outcomes.ts";
import type { Surroundings } from "./surroundings.ts";

/** How a topic is fed while something is wrong with it. */
export type Load = { seconds: number; perSecond: number; sessions: number };

/** What a subscriber has seen in the end, against what was stored. */
export type Books = {
  stored: number;
  /** Stored, and never seen. */
  lost: number;
  /** Message ids that were seen with two contents, or with another than the stored one. */
  altered: number;
  /** Messages that came more than once: what duplicate detection let through. */
  repeated: number;
  /** Messages that came behind one of their session that was stored after them. */
  overtaken: number;
};

export const TROUBLED_ROUTE: Route = {
  name: "predictions",
  topic: "predictions",
  message: { session_id: "{parameters.sensor}" },
};
/** Nothing more can be on its way when nothing has come for so long. */
const QUIET_MS = 60_000;

/** Stores outcomes at a steady rate; `meanwhile` makes the trouble. Then reads everything that has come, and adds up. */
export async function underTrouble(around: Surroundings, load: Load, meanwhile: () => Promise<void>): Promise<Books> {
  await using serviceBus = await openServiceBus({ connectionString: around.connectionString });
  const seen: { id: string; messageId: string; digest: string }[] = [];
  let last_ms = performance.now();
  await using _reader = serviceBus.subscribe({ topic: "predictions", subscription: "enterprise" }, (message) => {
    const messageId = String(message.messageId);
    seen.push({ messageId, id: messageId.split(".")[0]!, digest: digestOf(message.body as Uint8Array) });
    last_ms = performance.now();
  });
  const digests = new Map<string, string>();
  const trouble = meanwhile();
  trouble.catch(() => {}); // told below
  const end_ms = performance.now() + load.seconds * 1_000;
  const size = Math.ceil(load.perSecond / 10);
  while (performance.now() < end_ms) {
    const next_ms = performance.now() + 100;
    const parametersOf = (index: number) => ({ sensor: `s-${index % load.sessions}` });
    for (const { id, bytes } of await storeOutcomes(around.inference, size, {
      parametersOf,
      sequence: digests.size + 1,
    }))
      digests.set(id, digestOf(bytes));
    await sleep(Math.max(0, next_ms - performance.now()));
  }
  await trouble;
  const distinct = () => new Set(seen.map(({ id }) => id)).size;
  last_ms = performance.now();
  while (distinct() < digests.size && performance.now() - last_ms < QUIET_MS) await sleep(100);
  await sleep(1_000); // what is doubled would come right behind
  return addUp(seen, digests, await storedOrder(around, digests.size));
}

/** Position and session of each outcome, as OUTCOMES has them. */
async function storedOrder(around: Surroundings, count: number) {
  const order = new Map<string, { sequence: number; session: string }>();
  const signal = AbortSignal.timeout(60_000);
  for await (const { record, sequence } of followOutcomes(
    around.operator,
    { tenant: "acme", project: "plant" },
    { after: 0, signal },
  )) {
    order.set(record.id, { sequence, session: String(record.request.parameters?.sensor) });
    if (order.size >= count) break;
  }
  return order;
}

function addUp(
  seen: readonly { id: string; messageId: string; digest: string }[],
  digests: ReadonlyMap<string, string>,
  order: ReadonlyMap<string, { sequence: number; session: string }>,
): Books {
  const came = new Set<string>();
  const altered = new Set<string>();
  const furthest = new Map<string, number>();
  let overtaken = 0;
  for (const { id, messageId, digest } of seen) {
    if (digests.get(id) !== digest) altered.add(messageId);
    if (came.has(messageId)) continue;
    came.add(messageId);
    const of = order.get(id);
    if (!of) continue;
    const before = furthest.get(of.session) ?? 0;
    if (of.sequence < before) overtaken++;
    else furthest.set(of.session, of.sequence);
  }
  const ids = new Set(seen.map(({ id }) => id));
  return {
    stored: digests.size,
    lost: [...digests.keys()].filter((id) => !ids.has(id)).length,
    altered: altered.size,
    repeated: seen.length - came.size,
    overtaken,
  };
}
