/** The dashboards. scripts/generate.ts writes them to grafana/dashboards, where Grafana reads them. */
import { type Board, board, quantile } from "./board.ts";

/** All of them, as Grafana's JSON. */
export const dashboards = (): Board[] => [overview, inference, bridge, nats, deliveries];

const overview = board({
  uid: "millrace-overview",
  title: "Millrace: overview",
  about: "Is everything accounted for, and does it flow?",
  panels: [
    {
      title: "Books balance",
      about: "By the last reading of the keeper. No: docs/runbooks/MillraceBooksDoNotBalance.md",
      unit: "bool_yes_no",
      kind: "stat",
      width: 6,
      queries: { balanced: "min(millrace_keeper_books_balanced)" },
    },
    {
      title: "Accepted − done − dead − pending",
      about: "0, always: what is lost by the last reading, among the requests that are retained.",
      unit: "short",
      kind: "stat",
      width: 6,
      queries: {
        lost: 'max(millrace_keeper_books_requests{state="accepted"}) - max(millrace_keeper_books_requests{state="done"}) - max(millrace_keeper_books_requests{state="dead"}) - max(millrace_keeper_books_requests{state="pending"})',
      },
    },
    {
      title: "Age of that reading",
      about: "The books are read every five minutes, and when somebody asks.",
      unit: "s",
      kind: "stat",
      width: 6,
      queries: { age: "time() - max(millrace_keeper_books_checked_timestamp_seconds)" },
    },
    {
      title: "Ready replicas",
      about: "By service, as /readyz says.",
      unit: "short",
      kind: "stat",
      width: 6,
      queries: { "{{service}}": "sum by (service) (millrace_ready)" },
    },
    {
      title: "Requests by state",
      about: "Of those retained, by the last reading of the books: accepted = done + dead + pending.",
      unit: "short",
      queries: { "{{state}}": "max by (state) (millrace_keeper_books_requests)" },
    },
    {
      title: "Accepted, done, dead per second",
      about: "Accepted and done go together over time; between them is the backlog.",
      unit: "reqps",
      queries: {
        accepted: "sum(rate(millrace_accepted_requests_total[5m]))",
        done: 'sum(rate(millrace_inference_requests_total{outcome="done"}[5m]))',
        dead: 'sum(rate(millrace_inference_requests_total{outcome!~"done|retry"}[5m])) or vector(0)',
      },
    },
    {
      title: "Backlog by model",
      about: "Requests that wait or are under way, in all lanes.",
      unit: "short",
      queries: { "{{model}}": "model:millrace_backlog:sum" },
    },
    {
      title: "Oldest request by model",
      about: "Age of the oldest that has no outcome. Growing: docs/runbooks/MillraceOldestRequestTooOld.md",
      unit: "s",
      queries: { "{{model}}": "model:millrace_oldest_waiting_seconds:max" },
    },
    {
      title: "Refused by reason, per second",
      about: "For want of a place. Clients are told when to come again.",
      unit: "reqps",
      queries: {
        "{{model}}: {{reason}}": "sum by (model, reason) (rate(millrace_refused_requests_total[5m])) or vector(0)",
      },
    },
    {
      title: "Expected wait of a new request",
      about: "By which ingest decides; the longest of its replicas.",
      unit: "s",
      queries: { "{{model}}": "max by (model) (millrace_queue_wait_seconds)" },
    },
    {
      title: "HTTP calls per second",
      about: "By status.",
      unit: "reqps",
      queries: {
        "{{status}}": 'sum by (status) (rate(millrace_http_requests_total{operation!~"health|ready|metrics"}[5m]))',
      },
    },
    {
      title: "Submitting, p50 and p99",
      about: "Time until the 202: that is, until the broker has stored it.",
      unit: "s",
      queries: {
        "p50 {{operation}}": quantile(0.5, "millrace_http_request_seconds", "operation"),
        "p99 {{operation}}": quantile(0.99, "millrace_http_request_seconds", "operation"),
      },
    },
  ],
});

const inference = board({
  uid: "millrace-inference",
  title: "Millrace: inference",
  about: "Models, their batches and their processes.",
  panels: [
    {
      title: "Settled per second, by outcome",
      about: "done, retry, or the code of the dead letter.",
      unit: "reqps",
      queries: { "{{model}}: {{outcome}}": "sum by (model, outcome) (rate(millrace_inference_requests_total[5m]))" },
    },
    {
      title: "From worker to outcome",
      about: "From being handed to the service until the outcome is stored.",
      unit: "s",
      queries: {
        "p50 {{model}}": quantile(0.5, "millrace_inference_request_seconds", "model"),
        "p99 {{model}}": quantile(0.99, "millrace_inference_request_seconds", "model"),
      },
    },
    {
      title: "One run of the model",
      about: "Compute time of one batch.",
      unit: "s",
      queries: {
        "p50 {{model}}": quantile(0.5, "millrace_inference_run_seconds", "model"),
        "p99 {{model}}": quantile(0.99, "millrace_inference_run_seconds", "model"),
      },
    },
    {
      title: "Rows of a run",
      about: "Mean. Rises with the backlog: that is how throughput does.",
      unit: "short",
      queries: {
        "{{model}}":
          "sum by (model) (rate(millrace_inference_run_rows_sum[5m])) / sum by (model) (rate(millrace_inference_run_rows_count[5m]))",
      },
    },
    {
      title: "Backlog by lane",
      about: "A lane is tenant, model and priority; workers take turns among them.",
      unit: "short",
      queries: {
        "{{tenant}} {{model}} {{priority}}":
          'max by (tenant, model, priority) (millrace_consumer_pending{model!=""} + millrace_consumer_ack_pending{model!=""})',
      },
    },
    {
      title: "Rows per second that a busy model makes",
      about: "As ingest has measured it; what an expected wait is reckoned with.",
      unit: "short",
      queries: { "{{model}}": "max by (model) (millrace_queue_drain_rows_per_second) or vector(0)" },
    },
    {
      title: "Memory of model processes",
      about: "The child processes in which TensorFlow runs.",
      unit: "bytes",
      queries: { "{{model}} {{instance}}": "sum by (model, instance) (millrace_inference_process_resident_bytes)" },
    },
    {
      title: "Model processes replaced",
      about: "In the last hour.",
      unit: "short",
      queries: { "{{model}}": "sum by (model) (increase(millrace_inference_process_restarts_total[1h]))" },
    },
  ],
});

const bridge = board({
  uid: "millrace-bridge",
  title: "Millrace: Service Bus",
  about: "Routes to Azure Service Bus, requests from it, and their replies.",
  panels: [
    {
      title: "Messages per second",
      about: "By route: sent, or held because Service Bus did not take them yet.",
      unit: "reqps",
      queries: { "{{route}}: {{result}}": "sum by (route, result) (rate(millrace_bridge_messages_total[5m]))" },
    },
    {
      title: "Waiting to be sent",
      about: "Outcomes that a route has not acknowledged.",
      unit: "short",
      queries: {
        "{{consumer}}":
          'max by (consumer) (millrace_consumer_pending{consumer=~"bridge-.*"} + millrace_consumer_ack_pending{consumer=~"bridge-.*"})',
      },
    },
    {
      title: "Breaker open",
      about: "1 while a route cannot reach Service Bus.",
      unit: "short",
      queries: { "{{route}}": "max by (route) (millrace_bridge_breaker_open)" },
    },
    {
      title: "Blocked until somebody mends the entity",
      about: "By reason: missing, disabled, full, unauthorized. docs/runbooks/MillraceBridgeRouteBlocked.md",
      unit: "short",
      queries: { "{{route}}: {{reason}}": "max by (route, reason) (millrace_bridge_route_blocked)" },
    },
    {
      title: "Dead letters at Service Bus",
      about:
        "Of the queues and subscriptions that the bridge's file names. docs/runbooks/MillraceServiceBusDeadLetters.md",
      unit: "short",
      queries: { "{{entity}}": "max by (entity) (millrace_servicebus_dead_letters) or vector(0)" },
    },
    {
      title: "Requests from Service Bus, per second",
      about: "By source, and what became of the message.",
      unit: "reqps",
      queries: {
        "{{source}}: {{result}}":
          "sum by (source, result) (rate(millrace_bridge_inbound_messages_total[5m])) or vector(0)",
      },
    },
    {
      title: "Messages in hand that ingest does not take now",
      about: "Their locks are renewed meanwhile.",
      unit: "short",
      queries: { "{{source}}": "sum by (source) (millrace_bridge_inbound_held) or vector(0)" },
    },
    {
      title: "Replies per second",
      about: "By source and result.",
      unit: "reqps",
      queries: {
        "{{source}}: {{result}}": "sum by (source, result) (rate(millrace_bridge_replies_total[5m])) or vector(0)",
      },
    },
  ],
});

const nats = board({
  uid: "millrace-nats",
  title: "Millrace: streams and keeper",
  about: "What the broker holds, as the keeper sees it, and what the keeper does.",
  panels: [
    {
      title: "Streams: share of what they may hold",
      about: "At 0.8 ingest refuses work.",
      unit: "percentunit",
      queries: { "{{stream}}": "stream:millrace_stream_use:ratio" },
    },
    {
      title: "Messages stored per second",
      about: "By stream.",
      unit: "reqps",
      queries: { "{{stream}}": "max by (stream) (rate(millrace_stream_last_sequence[5m]))" },
    },
    {
      title: "Messages held",
      about: "By stream; retention takes what is settled and old.",
      unit: "short",
      queries: { "{{stream}}": "max by (stream) (millrace_stream_messages)" },
    },
    {
      title: "Waiting, by consumer",
      about: "Pending and given but not acknowledged.",
      unit: "short",
      queries: { "{{consumer}}": "max by (consumer) (millrace_consumer_pending + millrace_consumer_ack_pending)" },
    },
    {
      title: "Oldest, by consumer",
      about: "Age of what each has not acknowledged.",
      unit: "s",
      queries: { "{{consumer}}": "max by (consumer) (millrace_consumer_oldest_waiting_seconds)" },
    },
    {
      title: "Durability",
      about: "0 = memory, 1 = replicated, 2 = fsync.",
      unit: "short",
      queries: {
        found: "min(millrace_keeper_durability_level)",
        declared: "max(millrace_keeper_durability_declared_level)",
      },
    },
    {
      title: "Retention: removed per second, and how late",
      about: "By stream.",
      unit: "short",
      queries: {
        "removed {{stream}}": "sum by (stream) (rate(millrace_keeper_deleted_total[5m])) or vector(0)",
        "late (s) {{stream}}": "max by (stream) (millrace_keeper_retention_behind_seconds)",
      },
    },
    {
      title: "Sweeper",
      about: "Acknowledged requests looked at per second, and those put back in the last hour: 0.",
      unit: "short",
      queries: {
        "looked at {{stream}}": "sum by (stream) (rate(millrace_keeper_swept_total[5m]))",
        "put back": "sum(increase(millrace_keeper_requeued_total[1h])) or vector(0)",
      },
    },
  ],
});

const deliveries = board({
  uid: "millrace-deliveries",
  title: "Millrace: deliveries and ledger",
  about: "Webhooks, those who wait for an outcome, dead letters, the ledger, and the processes themselves.",
  panels: [
    {
      title: "Webhooks per second",
      about: "By rule and result.",
      unit: "reqps",
      queries: {
        "{{rule}}: {{result}}": "sum by (rule, result) (rate(millrace_notifier_outcomes_total[5m]))",
      },
    },
    {
      title: "One attempt to deliver",
      about: "By rule.",
      unit: "s",
      queries: {
        "p50 {{rule}}": quantile(0.5, "millrace_notifier_delivery_seconds", "rule"),
        "p99 {{rule}}": quantile(0.99, "millrace_notifier_delivery_seconds", "rule"),
      },
    },
    {
      title: "Waiting for an outcome, p50 and p99",
      about: "Clients that asked with Prefer: wait, SSE or OIP; `came` says whether it came.",
      unit: "s",
      queries: {
        "p50 came={{came}}": `${quantile(0.5, "millrace_outcome_wait_seconds", "came")} or vector(0)`,
        "p99 came={{came}}": `${quantile(0.99, "millrace_outcome_wait_seconds", "came")} or vector(0)`,
      },
    },
    {
      title: "Open event streams",
      about: "Server-sent events, all replicas.",
      unit: "short",
      queries: { open: "sum(millrace_event_streams)" },
    },
    {
      title: "Dead letters by what was decided",
      about: "By the last reading of the books. Open ones wait for millrace dead redrive or discard.",
      unit: "short",
      queries: { "{{state}}": "max by (state) (millrace_keeper_books_dead_letters)" },
    },
    {
      title: "Ledger: entries per second",
      about: "By stream and result; a conflict is never normal.",
      unit: "reqps",
      queries: { "{{stream}}: {{result}}": "sum by (stream, result) (rate(millrace_audit_messages_total[5m]))" },
    },
    {
      title: "Ledger: entries, and one transaction",
      about: "p99 of a transaction in seconds.",
      unit: "short",
      queries: {
        entries: "max(millrace_audit_ledger_entries)",
        "p99 (s)": "histogram_quantile(0.99, sum by (le) (rate(millrace_audit_append_seconds_bucket[5m])))",
      },
    },
    {
      title: "Memory by process",
      about: "Resident.",
      unit: "bytes",
      queries: {
        "{{service}} {{instance}}": 'sum by (service, instance) (process_resident_memory_bytes{service!=""})',
      },
    },
    {
      title: "Event loop lag, p99",
      about: "Of each service: high means that it computes where it should wait.",
      unit: "s",
      queries: { "{{service}}": 'max by (service) (nodejs_eventloop_lag_p99_seconds{service!=""})' },
    },
    {
      title: "Starts in the last hour",
      about: "By service.",
      unit: "short",
      queries: { "{{service}}": 'sum by (service) (changes(process_start_time_seconds{service!=""}[1h]))' },
    },
  ],
});
