import { createHash } from "node:crypto";
import { type MessageOrigin, type PeekedMessage, pathOf } from "@millrace/azure";
import type { RoutesFile, ServiceBusDeadLettered } from "@millrace/contracts";

/** Dead letters of an entity, as far as they were looked at. */
export type DeadLetterLook = {
  entity: MessageOrigin;
  count: number;
  /** There may be more: nobody let us count. */
  atLeast: boolean;
  sample: readonly PeekedMessage[];
};

const IDS_MAX = 10;
/** Texts come from whoever dead-lettered the message. */
const TEXT_MAX = 128;
const REASONS_MAX = 32;

/** The queues and subscriptions that the configuration file names: of entities, sources and routes. */
export function watchedEntities({ routes, sources = [], entities = [] }: RoutesFile): MessageOrigin[] {
  const queue = (name: string | undefined): MessageOrigin[] => (name === undefined ? [] : [{ queue: name }]);
  const all = [
    ...routes.flatMap((route) => queue(route.queue)),
    ...sources.flatMap(({ queue: name, topic, subscription }) =>
      topic === undefined || subscription === undefined ? queue(name) : [{ topic, subscription }],
    ),
    ...entities.flatMap(({ queue: name, topic, subscriptions = [] }) =>
      topic === undefined
        ? queue(name)
        : subscriptions.map((subscription) => ({ topic, subscription: subscription.name })),
    ),
  ];
  return [...new Map(all.map((entity) => [pathOf(entity).toLowerCase(), entity])).values()];
}

/** What is said of more dead letters than before; undefined when there are not more. */
export function newsOf(
  { entity, count, atLeast, sample }: DeadLetterLook,
  { before, namespace, at }: { before: number; namespace: string; at: string },
): ServiceBusDeadLettered | undefined {
  if (count <= before) return undefined;
  const reasons = Map.groupBy(sample, ({ deadLetterReason }) => (deadLetterReason ?? "none").slice(0, TEXT_MAX));
  return {
    namespace,
    entity: pathOf(entity),
    count,
    at_least: atLeast,
    before,
    reasons: Object.fromEntries([...reasons].slice(0, REASONS_MAX).map(([reason, all]) => [reason, all.length])),
    // The last are the news.
    sample_message_ids: sample.slice(-IDS_MAX).map(({ messageId }) => String(messageId ?? "").slice(0, TEXT_MAX)),
    at,
  };
}

/** The entity as a subject token: paths hold characters that a token cannot. */
export const entityToken = (entity: MessageOrigin): string =>
  createHash("sha256").update(pathOf(entity).toLowerCase()).digest("hex").slice(0, 32);
