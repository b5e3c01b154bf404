import { Counter, Gauge, Histogram, type Registry, SECONDS_BUCKETS } from "@millrace/kit";

/** What the ledger's writer reports of itself. */
export type LedgerMetrics = {
  appended(of: { stream: string; entries: number; repeated: number; conflicts: number; duration_ms: number }): void;
  failed(cause: unknown): void;
  /** Why the last append failed; undefined when it did not. */
  readonly lastFailure: string | undefined;
};

export function ledgerMetrics(registry: Registry, entries: () => number): LedgerMetrics {
  const registers = [registry];
  const labelNames = ["stream", "result"] as const;
  const messages = new Counter({
    name: "millrace_audit_messages_total",
    help: "Messages taken: appended, repeated (the ledger had them) or conflicting (same id, other bytes)",
    labelNames,
    registers,
  });
  const seconds = new Histogram({
    name: "millrace_audit_append_seconds",
    help: "One transaction of the ledger",
    buckets: SECONDS_BUCKETS,
    registers,
  });
  const failures = new Counter({
    name: "millrace_audit_append_failures_total",
    help: "Transactions that failed",
    registers,
  });
  new Gauge({
    name: "millrace_audit_ledger_entries",
    help: "Entries in the ledger",
    registers,
    collect() {
      this.set(entries());
    },
  });
  let lastFailure: string | undefined;
  return {
    appended({ stream, entries: appended, repeated, conflicts, duration_ms }) {
      messages.inc({ stream, result: "appended" }, appended);
      messages.inc({ stream, result: "repeated" }, repeated);
      messages.inc({ stream, result: "conflict" }, conflicts);
      seconds.observe(duration_ms / 1_000);
      lastFailure = undefined;
    },
    failed(cause) {
      failures.inc();
      lastFailure = cause instanceof Error ? cause.message : String(cause);
    },
    get lastFailure() {
      return lastFailure;
    },
  };
}
