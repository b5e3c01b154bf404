import type { ServiceBus } from "@millrace/azure";
import { type Bus, openTable, removeConsumer } from "@millrace/bus";
import { consumerName, OUTCOMES, Source } from "@millrace/contracts";
import type { Scope } from "@millrace/kit";
import { openReplySenders } from "./adapters/reply-senders.ts";
import type { Config } from "./config.ts";
import { sourceBucketMistake } from "./domain/sources.ts";
import { inboundMetrics } from "./inbound-metrics.ts";
import { runningSet } from "./running-set.ts";
import { type OpenSource, openSource } from "./source.ts";

export type InboundOptions = {
  bus: Bus;
  serviceBus: ServiceBus;
  /** Of the configuration file; one of the bucket takes the place of one of the same name. */
  sources: readonly Source[];
};

/** Everything that comes in: a link and a consumer of replies for each source in force. One that fails stops no other. */
export async function openInbound(scope: Scope<Config>, options: InboundOptions): Promise<AsyncDisposable> {
  const { log, health } = scope;
  const { bus, serviceBus, sources } = options;
  await using opening = new AsyncDisposableStack();
  const replies = opening.use(openReplySenders(serviceBus));
  const around = { bus, serviceBus, replies, metrics: inboundMetrics(scope.metrics) };
  const file = new Map(sources.map((source) => [source.name, source]));
  const bucket = new Map<string, Source>();
  const checks = new Map<string, Disposable>();
  const wanted = (name: string) => bucket.get(name) ?? file.get(name);

  const running = opening.use(
    runningSet<Source, OpenSource>({
      kind: "source",
      log,
      wanted,
      open: (source) => openSource(scope, source, around),
      async forget(name) {
        checks.get(name)?.[Symbol.dispose]();
        checks.delete(name);
        // A consumer that nobody reads any more would hold up retention.
        const unsent = await removeConsumer(bus, OUTCOMES.name, consumerName.bridgeReply(name));
        log.info({ source: name, unread: unsent ?? 0 }, "source has ended");
      },
    }),
  );
  const change = (name: string) => {
    if (wanted(name) && !checks.has(name))
      checks.set(
        name,
        health.check(`source ${name}`, () => running.get(name)?.health() ?? NOT_OPEN),
      );
    running.change(name);
  };
  opening.use(
    await openTable(bus, "sources", Source, {
      onPut(name, source) {
        const wrong = sourceBucketMistake(name, source);
        if (wrong) return log.error({ source: name, wrong }, "a source in the bucket has a mistake; passed over");
        bucket.set(name, source);
        change(name);
      },
      onDelete(name) {
        bucket.delete(name);
        change(name);
      },
    }),
  );
  for (const name of file.keys()) change(name);
  const opened = opening.move();
  return { [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const NOT_OPEN = { ok: false, detail: "not open yet" };
