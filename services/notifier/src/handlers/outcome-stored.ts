import { type Bus, deliveryMade, done, type OutcomeDelivery, reject, retry, type Verdict } from "@millrace/bus";
import { type Logger, traceId } from "@millrace/kit";
import type { Webhook } from "../adapters/webhook.ts";
import { notificationOf } from "../domain/notification.ts";
import { matchOf, type Rule } from "../domain/rule.ts";
import type { NotifierMetrics } from "../metrics.ts";

/** Channel of every delivery this service records. */
export const CHANNEL = "webhook";

/**
 * Tells a rule's receiver of an outcome that matches. The delivery is recorded as an event before the outcome is
 * acked; a crash in between sends the same `webhook-id` again, and the receiver drops the repeat.
 */
export const onOutcomeStored =
  (options: { bus: Bus; rule: Rule; webhook: Webhook; metrics: NotifierMetrics; log: Logger }) =>
  async (outcome: OutcomeDelivery): Promise<Verdict> => {
    const { bus, rule, webhook, metrics, log } = options;
    const match = matchOf(rule, outcome.record, outcome.body);
    if (!match.ok) return reject(match.problem.code, match.problem.detail, match.problem.at);
    if (!match.value) {
      metrics.passed(rule.name);
      return done();
    }
    const notification = notificationOf(rule, outcome, match.value);
    const started = performance.now();
    const attempt = await webhook.deliver(notification);
    const duration_ms = performance.now() - started;
    metrics.attempted(rule.name, attempt.kind, duration_ms);
    log[attempt.kind === "delivered" ? "info" : "warn"](
      {
        rule: rule.name,
        webhook_id: notification.id,
        subject: outcome.envelope.subject,
        attempt: outcome.attempt,
        outcome: attempt.kind,
        ...(attempt.kind === "delivered" ? { status: attempt.status } : { why: attempt.why }),
        duration_ms,
        trace_id: traceId(outcome.envelope.traceparent),
      },
      "notified",
    );
    switch (attempt.kind) {
      case "delivered":
        return done(deliveryMade(bus, outcome, { channel: CHANNEL, destination: rule.name, status: attempt.status }));
      case "failed":
        return retry("delivery", attempt.why, attempt.after_ms);
      case "held":
        return retry("infrastructure", attempt.why);
      case "refused":
        return reject("delivery-refused", attempt.why);
    }
  };
