import type { Namespace } from "../domain/namespace.ts";
import type { Entity } from "../entity-catalog.ts";

/** Counts of an entity while it runs. */
export interface EntityCounts {
  readonly active: number;
  readonly deadLettered: number;
  readonly transferDeadLettered: number;
  readonly scheduled: number;
  readonly bytes: number;
  readonly subscriptions: number;
  /** Of all its subscriptions' rules; one without a condition counts as SQL. */
  readonly sqlFilters: number;
  readonly correlationFilters: number;
  /** When it was last used (epoch milliseconds); undefined if never. */
  readonly accessedAt: number | undefined;
}

export function countsOf(namespace: Namespace, { kind, path, createdAt }: Entity): EntityCounts {
  const none = { subscriptions: 0, sqlFilters: 0, correlationFilters: 0 };
  const accessedAt = namespace.usedAt(path) ?? (kind === "subscription" ? createdAt : undefined);
  if (kind !== "topic") return { ...namespace.queue(path)!.counts(), ...none, accessedAt };
  const { branches, schedule } = namespace.target(path)!;
  const filters = branches.flatMap(({ rules }) => rules!.list().map(({ filter }) => filter.kind));
  const correlationFilters = filters.filter((filter) => filter === "correlation").length;
  return {
    active: 0,
    deadLettered: 0,
    transferDeadLettered: 0,
    scheduled: schedule.size,
    bytes: branches.reduce((sum, { queue }) => sum + queue.counts().bytes, schedule.bytes),
    subscriptions: branches.length,
    sqlFilters: filters.length - correlationFilters,
    correlationFilters,
    accessedAt,
  };
}
