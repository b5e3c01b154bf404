import type { Namespace } from "./domain/namespace.ts";
import type { Entity, EntityCatalog } from "./entity-catalog.ts";
import { idleTimeOf } from "./planning.ts";

/**
 * Deletes the entities that nobody has used for as long as their `AutoDeleteOnIdle` says. A message that waits for its time
 * keeps its queue or topic; an open receiver counts as use. A restart begins the time anew.
 */
export class IdleEntities {
  readonly #catalog: EntityCatalog;
  readonly #namespace: Namespace;
  readonly #now: () => number;
  readonly #startedAt: number;

  constructor(options: { catalog: EntityCatalog; namespace: Namespace; now: () => number }) {
    this.#catalog = options.catalog;
    this.#namespace = options.namespace;
    this.#now = options.now;
    this.#startedAt = options.now();
  }

  /** @returns the paths of those deleted */
  remove(): string[] {
    const all = (["subscription", "queue", "topic"] as const).flatMap((kind) => this.#catalog.list(kind));
    const idle = all.filter((entity) => this.#isIdle(entity)).map(({ path }) => path);
    return idle.filter((path) => this.#catalog.remove(path).ok); // one that others forward to stays
  }

  #isIdle({ path, properties, updatedAt }: Entity): boolean {
    const idleMs = idleTimeOf(properties);
    if (idleMs === undefined || (this.#namespace.target(path)?.schedule.size ?? 0) > 0) return false;
    const since = Math.max(updatedAt, this.#startedAt, this.#namespace.usedAt(path) ?? 0);
    return this.#now() - since >= idleMs;
  }
}
