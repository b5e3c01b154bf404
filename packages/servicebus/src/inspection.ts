import type { Namespace } from "./domain/namespace.ts";
import type { QueueCounts } from "./domain/queue.ts";
import type { EntityCatalog } from "./entity-catalog.ts";

/** What an entity holds. A topic holds only what is scheduled: everything else is in its subscriptions. */
export type EntityReport =
  | {
      readonly path: string;
      readonly kind: "queue" | "subscription" | "dead-letter-queue";
      readonly counts: QueueCounts;
    }
  | {
      readonly path: string;
      readonly kind: "topic";
      readonly counts: { readonly scheduled: number; readonly bytes: number };
    };

interface Where {
  readonly catalog: EntityCatalog;
  readonly namespace: Namespace;
}

/** All queues, topics and subscriptions, each kind in order of name. */
export function inspectAll({ catalog, namespace }: Where): EntityReport[] {
  const entities = (["queue", "topic", "subscription"] as const).flatMap((kind) => catalog.list(kind));
  return entities.map(({ path }) => inspectOne({ catalog, namespace }, path)!);
}

/** One of them, or a dead-letter queue. */
export function inspectOne({ catalog, namespace }: Where, path: string): EntityReport | undefined {
  const entity = catalog.get(path);
  if (entity?.kind === "topic") {
    const { size, bytes } = namespace.target(path)!.schedule;
    return { path: entity.path, kind: "topic", counts: { scheduled: size, bytes } };
  }
  const queue = namespace.queue(path);
  return queue && { path: queue.name, kind: entity?.kind ?? "dead-letter-queue", counts: queue.counts() };
}
