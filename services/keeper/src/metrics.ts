import { Counter, Gauge, Histogram, type Registry, SECONDS_BUCKETS } from "@millrace/kit";
import type { Kept } from "./domain/retention.ts";

/** What the keeper counts. */
export type KeeperMetrics = {
  retired(stream: string, messages: number): void;
  /** How much later than its time the oldest message goes, and what stays although its time is over. */
  retentionLooked(stream: string, behind_ms: number, kept: ReadonlyMap<Kept, number>): void;
  swept(stream: string, requests: number): void;
  requeued(stream: string): void;
  redriveCompleted(): void;
  checked(duration_ms: number, balanced: boolean): void;
  durability(level: number): void;
};

export function keeperMetrics(registry: Registry): KeeperMetrics {
  const registers = [registry];
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: `millrace_keeper_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name: `millrace_keeper_${name}`, help, labelNames, registers });
  const deleted = counter("deleted_total", "Messages that retention removed", "stream");
  const behind = gauge("retention_behind_seconds", "How much later than its time a message is removed", "stream");
  const kept = gauge("retention_kept", "Messages that stay although their time is over, by reason", "stream", "why");
  const swept = counter("swept_total", "Acknowledged requests whose outcome was looked for", "stream");
  const requeued = counter("requeued_total", "Requests put into their queue again", "stream");
  const redrives = counter("redrives_completed_total", "Redrives that were interrupted, and completed");
  const balanced = gauge("books_balanced", "1 = the last check found nothing, 0 = it did");
  const level = gauge("durability_level", "What the broker guarantees: 0 = memory, 1 = replicated, 2 = fsync");
  const seconds = new Histogram({
    name: "millrace_keeper_check_seconds",
    help: "Time that reading the books took",
    buckets: SECONDS_BUCKETS,
    registers,
  });
  return {
    retired: (stream, messages) => deleted.inc({ stream }, messages),
    retentionLooked(stream, behind_ms, keeps) {
      behind.set({ stream }, behind_ms / 1_000);
      kept.remove({ stream });
      for (const [why, messages] of keeps) kept.set({ stream, why }, messages);
    },
    swept: (stream, requests) => swept.inc({ stream }, requests),
    requeued: (stream) => requeued.inc({ stream }),
    redriveCompleted: () => redrives.inc(),
    checked(duration_ms, isBalanced) {
      seconds.observe(duration_ms / 1_000);
      balanced.set(isBalanced ? 1 : 0);
    },
    durability: (rank) => level.set(rank),
  };
}
