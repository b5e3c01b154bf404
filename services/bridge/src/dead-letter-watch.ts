import {
  type Administration,
  AdministrationError,
  type MessageOrigin,
  openAdministration,
  pathOf,
  type ServiceBus,
} from "@millrace/azure";
import type { Bus } from "@millrace/bus";
import { Gauge, type Registry, type Scope } from "@millrace/kit";
import { lastNews, publishNews } from "./adapters/dead-letter-news.ts";
import { pause } from "./adapters/pause.ts";
import { type Config, serviceBusPlace } from "./config.ts";
import { type DeadLetterLook, newsOf } from "./domain/dead-letter-look.ts";

export type WatchOptions = { bus: Bus; serviceBus: ServiceBus; entities: readonly MessageOrigin[] };

/** Dead letters that are looked at, and counted where nobody lets us ask for the number. */
const SAMPLE_MAX = 250;

/** How many dead letters an entity has, as far as is known. */
export const deadLetterGauge = (registry: Registry) =>
  new Gauge({
    name: "millrace_servicebus_dead_letters",
    help: `Dead letters of a queue or subscription; at most ${SAMPLE_MAX} where the bridge may not count them`,
    labelNames: ["entity"],
    registers: [registry],
  });

/**
 * Looks at the dead letters of each entity on a schedule: a metric of how many there are, and an event when there are
 * more than before. Reads message ids and reasons only, and takes nothing.
 */
export async function watchDeadLetters(scope: Scope<Config>, options: WatchOptions): Promise<AsyncDisposable> {
  const { config, log } = scope;
  const { bus, serviceBus, entities } = options;
  const counts = deadLetterGauge(scope.metrics);
  const stopping = new AbortController();
  /** What this process saw last, since a number that fell may rise again, and which event it knew: a later one is another replica's. */
  const seen = new Map<string, { count: number; sequence: number }>();
  const troubles = new Map<string, string>();
  const place = serviceBusPlace(config);
  // The administration client takes a key once; one that is rotated under it would be refused from then on.
  const count = "kept" in place ? async () => undefined : counter(await openAdministration(place), scope);

  const look = async (entity: MessageOrigin): Promise<DeadLetterLook> => {
    const sample = await serviceBus.peek(entity, { count: SAMPLE_MAX, deadLetters: true });
    const counted = await count(entity);
    if (counted !== undefined) return { entity, count: counted, atLeast: false, sample };
    return { entity, count: sample.length, atLeast: sample.length === SAMPLE_MAX, sample };
  };
  const tell = async (looked: DeadLetterLook) => {
    const path = pathOf(looked.entity);
    const { count } = looked;
    counts.set({ entity: path }, count);
    const before = seen.get(path);
    if (before && count <= before.count) return void seen.set(path, { ...before, count });
    const last = await lastNews(bus, looked.entity);
    let { sequence } = last;
    const isSaid = before !== undefined && last.sequence > before.sequence && last.count >= count;
    const at = new Date().toISOString();
    const news = newsOf(looked, { before: before?.count ?? last.count, namespace: serviceBus.host, at });
    if (news && !isSaid) {
      const stored = await publishNews(bus, looked.entity, { news, last });
      if (stored !== undefined) {
        sequence = stored;
        const { reasons } = news;
        log.warn({ entity: path, dead_letters: count, before: news.before, reasons }, "messages were dead-lettered");
      }
    }
    seen.set(path, { count, sequence });
  };
  const watch = async () => {
    while (!stopping.signal.aborted) {
      for (const entity of entities) {
        const path = pathOf(entity);
        const why = await look(entity)
          .then(tell)
          .then(
            () => undefined,
            (cause: unknown) => (cause as Error).message || String(cause),
          );
        if (stopping.signal.aborted) return;
        if (why !== undefined && why !== troubles.get(path))
          log.warn({ entity: path, why }, "dead letters cannot be looked at; trying on");
        if (why === undefined) troubles.delete(path);
        else troubles.set(path, why);
      }
      await pause(config.DEAD_LETTERS_EVERY_S * 1_000, stopping.signal);
    }
  };
  const watching = watch();
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await Promise.race([watching, pause(1_000, new AbortController().signal)]);
    },
  };
}

/** Asks for the number; answers undefined where that is not allowed, or does not work now. */
function counter({ deadLetters }: Administration, { log }: Scope<Config>) {
  let allowed = true;
  return async (entity: MessageOrigin): Promise<number | undefined> => {
    if (!allowed) return undefined;
    try {
      return await deadLetters(entity);
    } catch (cause) {
      if (!(cause instanceof AdministrationError)) throw cause;
      if (cause.kind === "unauthorized" || cause.kind === "untrusted") {
        allowed = false;
        log.info(
          { why: cause.message, looked_at_max: SAMPLE_MAX },
          "dead letters cannot be counted without the right to manage; only the first ones are looked at",
        );
      }
      return undefined;
    }
  };
}
