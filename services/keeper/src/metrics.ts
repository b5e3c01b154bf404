import type { ConsumerState, StreamState } from "@millrace/bus";
import { type CheckReport, laneOfConsumer, REQUEST_STREAM } from "@millrace/contracts";
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
  checked(
    report: Pick<CheckReport, "at" | "duration_ms" | "balanced" | "ids" | "dead_letters" | "findings_total">,
  ): void;
  durability(level: number, declared: number): void;
  /** What the streams hold and how far their consumers are; what is not named any more is not shown any more. */
  looked(streams: readonly StreamState[], consumers: readonly ConsumerLook[]): void;
};

/** A consumer, and since when the oldest message waits that it has not acknowledged. */
export type ConsumerLook = ConsumerState & { oldest_waiting_ms: number };

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
  // Shown before the first one: what appears with a value has not increased, as Prometheus sees it.
  for (const { name } of Object.values(REQUEST_STREAM)) requeued.inc({ stream: name }, 0);
  const redrives = counter("redrives_completed_total", "Redrives that were interrupted, and completed");
  const balanced = gauge("books_balanced", "1 = the last check found nothing, 0 = it did");
  const found = gauge("books_findings", "What the last check found");
  const ids = gauge(
    "books_requests",
    "Requests by the last check: accepted = done + dead + pending + lost, and lost = 0",
    "state",
  );
  const deadLetters = gauge("books_dead_letters", "Dead letters by the last check, by what was decided", "state");
  const checkedAt = gauge("books_checked_timestamp_seconds", "When the books were last read");
  const level = gauge("durability_level", "What the broker guarantees: 0 = memory, 1 = replicated, 2 = fsync");
  const declared = gauge("durability_declared_level", "What it shall guarantee, in the same numbers");
  const look = lookMetrics(registers);
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
    checked(report) {
      seconds.observe(report.duration_ms / 1_000);
      balanced.set(report.balanced ? 1 : 0);
      found.set(report.findings_total);
      for (const [state, requests] of Object.entries(report.ids)) ids.set({ state }, requests);
      for (const [state, letters] of Object.entries(report.dead_letters)) deadLetters.set({ state }, letters);
      checkedAt.set(Date.parse(report.at) / 1_000);
    },
    durability(rank, declaredRank) {
      level.set(rank);
      declared.set(declaredRank);
    },
    looked: look,
  };
}

function lookMetrics(registers: Registry[]): KeeperMetrics["looked"] {
  const ofStream = (name: string, help: string) =>
    new Gauge({ name: `millrace_stream_${name}`, help, labelNames: ["stream"], registers });
  const messages = ofStream("messages", "Messages that a stream holds");
  const bytes = ofStream("bytes", "Bytes that a stream holds");
  const limit = ofStream("limit_bytes", "Bytes that a stream may hold; ingest refuses work at 80 % of it");
  const position = ofStream("last_sequence", "Position of a stream's last message");
  const ofConsumer = (name: string, help: string) =>
    new Gauge({ name: `millrace_consumer_${name}`, help, labelNames: CONSUMER_LABELS, registers });
  const pending = ofConsumer("pending", "Messages that wait to be given to a consumer");
  const ackPending = ofConsumer("ack_pending", "Messages that a consumer was given and has not acknowledged");
  const floor = ofConsumer("acknowledged_sequence", "Position up to which a consumer has acknowledged everything");
  const oldest = ofConsumer(
    "oldest_waiting_seconds",
    "Age of the oldest message that is not acknowledged; 0 = none is",
  );
  return (streams, consumers) => {
    for (const stream of streams) {
      const of = { stream: stream.name };
      messages.set(of, stream.messages);
      bytes.set(of, stream.bytes);
      limit.set(of, Math.max(0, stream.bytes_max));
      position.set(of, stream.last_sequence);
    }
    for (const gauge of [pending, ackPending, floor, oldest]) gauge.reset();
    for (const consumer of consumers) {
      const { tenant = "", model = "", priority = "" } = laneOfConsumer(consumer.name) ?? {};
      const of = { stream: consumer.stream, consumer: consumer.name, tenant, model, priority };
      pending.set(of, consumer.pending);
      ackPending.set(of, consumer.ack_pending);
      floor.set(of, consumer.acknowledged_sequence);
      oldest.set(of, consumer.oldest_waiting_ms / 1_000);
    }
  };
}

/** `tenant`, `model` and `priority` are empty where a consumer is not that of a lane. */
const CONSUMER_LABELS = ["stream", "consumer", "tenant", "model", "priority"] as const;
