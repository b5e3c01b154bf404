import { answer, type Bus, consumeInOrder } from "@millrace/bus";
import { AUDIT_POSITIONS_SUBJECT, AUDIT_QUERY_SUBJECT, consumerName, EVENTS, OUTCOMES } from "@millrace/contracts";
import type { HealthCheck, Logger, Scope } from "@millrace/kit";
import { openLedger } from "./adapters/ledger.ts";
import { tryLock } from "./adapters/writer-lock.ts";
import { onAuditAsked } from "./handlers/audit-asked.ts";
import { onMessagesStored } from "./handlers/messages-stored.ts";
import { onPositionsAsked } from "./handlers/positions-asked.ts";
import { ledgerMetrics } from "./metrics.ts";

/** Messages of one transaction. */
const BATCH_MAX = 500;
/** How often a standby looks whether the writer is gone. */
const STANDBY_POLL_MS = 500;

export type WriterOptions = {
  bus: Bus;
  ledgerFile: string;
  scope: Pick<Scope, "health" | "metrics" | "signal" | "fail">;
  log: Logger;
};

/**
 * Writes the ledger, or stands by until the process that writes it is gone. A chain has one end: only the holder of the
 * lock consumes, appends and answers. Answers at once; readiness says which of the two this process is.
 * @throws when the ledger cannot be opened.
 */
export function becomeWriter(options: WriterOptions): AsyncDisposable {
  const { ledgerFile, scope, log } = options;
  const stack = new AsyncDisposableStack();
  let state: HealthCheck = () => ({ ok: true, detail: "standby: another process writes this ledger" });
  scope.health.check("ledger", () => state());

  const tryToWrite = (): boolean => {
    const lock = tryLock(ledgerFile);
    if (!lock) return false;
    stack.use(lock);
    state = write(options, stack);
    return true;
  };

  if (!tryToWrite()) {
    log.info({ ledger: ledgerFile }, "another process writes this ledger; standing by");
    const timer = setInterval(() => {
      try {
        if (tryToWrite()) clearInterval(timer);
      } catch (cause) {
        clearInterval(timer);
        scope.fail(cause);
      }
    }, STANDBY_POLL_MS);
    stack.defer(() => clearInterval(timer));
  }
  return stack;
}

/** Opens the ledger and starts to take both streams and to answer; what it opens goes onto the stack. */
function write({ bus, ledgerFile, scope, log }: WriterOptions, stack: AsyncDisposableStack): HealthCheck {
  const ledger = stack.use(openLedger(ledgerFile));
  const { entries, chain_hash } = ledger.head();
  log.info({ ledger: ledgerFile, entries, chain_hash }, "writing the ledger");
  const metrics = ledgerMetrics(scope.metrics, () => ledger.head().entries);
  const consumptions = ([OUTCOMES.name, EVENTS.name] as const).map((stream) =>
    stack.use(
      consumeInOrder(
        bus,
        { stream, durable: consumerName.audit(stream), batch_max: BATCH_MAX },
        onMessagesStored({ stream, ledger, metrics, log }),
      ),
    ),
  );
  stack.use(answer(bus, AUDIT_QUERY_SUBJECT, onAuditAsked(ledger)));
  stack.use(answer(bus, AUDIT_POSITIONS_SUBJECT, onPositionsAsked(ledger)));
  return () => {
    if (metrics.lastFailure) return { ok: false, detail: `the last append failed: ${metrics.lastFailure}` };
    if (!consumptions.every((consumption) => consumption.healthy)) return { ok: false, detail: "not consuming" };
    return { ok: true, detail: `writer, ${ledger.head().entries} entries` };
  };
}
