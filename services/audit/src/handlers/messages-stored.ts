import type { OrderedReader } from "@millrace/bus";
import type { Logger } from "@millrace/kit";
import type { Ledger } from "../adapters/ledger.ts";
import { toEntry } from "../domain/entry.ts";
import type { LedgerMetrics } from "../metrics.ts";

/** Takes the messages of one stream into the ledger: entries and position in one transaction. */
export const onMessagesStored = (options: {
  stream: string;
  ledger: Pick<Ledger, "position" | "append">;
  metrics: LedgerMetrics;
  log: Logger;
}): OrderedReader => {
  const { stream, ledger, metrics, log } = options;
  return {
    position: () => ledger.position(stream),
    take(messages, position) {
      const started = performance.now();
      const entries = messages.map((message) => toEntry({ ...message, stream }));
      try {
        const { appended, repeated, conflicts } = ledger.append(stream, entries, position);
        const duration_ms = performance.now() - started;
        metrics.appended({ stream, entries: appended, repeated, conflicts: conflicts.length, duration_ms });
        for (const { id, subject, stream_sequence } of conflicts)
          log.error(
            { id, subject, stream, stream_sequence },
            "another message holds this id in the ledger; not appended",
          );
        log.debug({ stream, appended, repeated, sequence: position.sequence, duration_ms }, "appended");
      } catch (cause) {
        metrics.failed(cause);
        throw cause;
      }
    },
  };
};
