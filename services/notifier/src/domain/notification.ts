import {
  CLOUDEVENTS_VERSION,
  canonicalBytes,
  type Envelope,
  effectId,
  type Outcome,
  outcomeId,
} from "@millrace/contracts";
import type { Match, Rule } from "./rule.ts";

export const NOTIFICATION_TYPE = "millrace.notification.v1";

/** What is told of an outcome. The same outcome and rule always give the same id and the same bytes. */
export type Notification = {
  /** Id under which the receiver de-duplicates: `webhook-id`. */
  id: string;
  body: Uint8Array;
  correlationId: string;
  traceparent: string | undefined;
};

/**
 * A CloudEvents JSON object that also has the fields Standard Webhooks recommends (`type`, `timestamp`, `data`). It
 * tells what happened and where to look; the outcome's tensors stay in the outcome.
 */
export function notificationOf(
  rule: Pick<Rule, "name" | "when">,
  outcome: { record: Outcome; envelope: Pick<Envelope, "correlationid" | "traceparent" | "subject"> },
  match: Match,
): Notification {
  const { record, envelope } = outcome;
  const outcome_id = outcomeId(record.id, record.attempt);
  const id = effectId(outcome_id, rule.name);
  const body = canonicalBytes({
    specversion: CLOUDEVENTS_VERSION,
    id,
    type: NOTIFICATION_TYPE,
    source: "/millrace/notifier",
    subject: envelope.subject,
    time: record.completed_at,
    timestamp: record.completed_at,
    datacontenttype: "application/json",
    correlationid: envelope.correlationid,
    ...(envelope.traceparent === undefined ? {} : { traceparent: envelope.traceparent }),
    data: {
      rule: rule.name,
      outcome_id,
      request_id: record.id,
      tenant: record.tenant,
      project: record.project,
      model: record.model,
      state: record.state,
      completed_at: record.completed_at,
      ...(record.state === "dead" ? { reason: record.reason } : {}),
      ...(rule.when ? { condition: rule.when, ...match } : {}),
    },
  });
  return { id, body, correlationId: envelope.correlationid, traceparent: envelope.traceparent };
}
