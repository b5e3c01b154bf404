import { Counter, Histogram, type Registry, SECONDS_BUCKETS } from "@millrace/kit";
import type { Attempt } from "./domain/delivery.ts";

/** What the notifier counts, per rule. */
export type NotifierMetrics = {
  /** An outcome did not match. */
  passed(rule: string): void;
  attempted(rule: string, result: Attempt["kind"], duration_ms: number): void;
};

export function notifierMetrics(registry: Registry): NotifierMetrics {
  const registers = [registry];
  const outcomes = new Counter({
    name: "millrace_notifier_outcomes_total",
    help: "Outcomes seen: passed (no match), and attempts by result: delivered, failed (will be tried again), held (no key to sign with), refused",
    labelNames: ["rule", "result"] as const,
    registers,
  });
  const seconds = new Histogram({
    name: "millrace_notifier_delivery_seconds",
    help: "One attempt to deliver",
    labelNames: ["rule"] as const,
    buckets: SECONDS_BUCKETS,
    registers,
  });
  return {
    passed: (rule) => outcomes.inc({ rule, result: "passed" }),
    attempted(rule, result, duration_ms) {
      outcomes.inc({ rule, result });
      seconds.observe({ rule }, duration_ms / 1_000);
    },
  };
}
