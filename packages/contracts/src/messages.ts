import Type, { type Static, type TSchema } from "typebox";
import { DiscardDecision, RedriveDecision } from "./dead-letters.ts";
import { InferRequest } from "./oip.ts";
import { DeadOutcome, DoneOutcome } from "./outcome.ts";
import { EVENTS, OUTCOMES, REQUESTS_TENSOR } from "./streams.ts";

/**
 * Every message that crosses processes, once: its CloudEvents type, where it is stored, its schema, who makes it and
 * who takes it. Validators, the AsyncAPI document and the message tables follow from this file. A new field is
 * optional; any other change is a `v2` beside the `v1`.
 */
export type Message<Schema extends TSchema = TSchema> = {
  name: string;
  /** CloudEvents type; it carries the version. */
  type: string;
  stream: string;
  /** Subject with `{parameter}` tokens, as AsyncAPI writes channel addresses. */
  address: string;
  description: string;
  schema: Schema;
  from: string;
  to: readonly string[];
};
export type Payload<M extends Message> = Static<M["schema"]>;

const message = <const Schema extends TSchema>(of: Message<Schema>): Message<Schema> => of;

const Time = Type.String({ description: "RFC 3339, UTC, milliseconds" });

export const InferenceRequested = message({
  name: "inference.requested",
  type: "millrace.inference.requested.v1",
  stream: REQUESTS_TENSOR.name,
  address: "req.tensor.{priority}.{tenant}.{project}.{model}.{id}",
  description: "A validated request, accepted and queued. The body is an OIP v2 request, JSON or with binary tensors.",
  schema: InferRequest,
  from: "ingest",
  to: ["inference"],
});

export const InferenceCompleted = message({
  name: "inference.completed",
  type: "millrace.inference.completed.v1",
  stream: OUTCOMES.name,
  address: "out.{tenant}.{project}.{model}.{id}.done",
  description: "The result of a request. Canonical bytes: they are what is hashed and what is delivered.",
  schema: DoneOutcome,
  from: "inference",
  to: ["ingest", "notifier", "audit", "bridge"],
});
export type InferenceCompleted = Payload<typeof InferenceCompleted>;

export const InferenceDeadLettered = message({
  name: "inference.dead-lettered",
  type: "millrace.inference.dead-lettered.v1",
  stream: OUTCOMES.name,
  address: "out.{tenant}.{project}.{model}.{id}.dead",
  description: "A request that cannot have a result, and why.",
  schema: DeadOutcome,
  from: "inference",
  to: ["ingest", "notifier", "audit", "bridge"],
});
export type InferenceDeadLettered = Payload<typeof InferenceDeadLettered>;

const Delivery = {
  outcome_id: Type.String({ description: "<request id>.<attempt>" }),
  effect_id: Type.String({ description: "The id under which the receiver de-duplicates" }),
  tenant: Type.String(),
  project: Type.String(),
  model: Type.String(),
  channel: Type.String({ description: "webhook, servicebus" }),
  destination: Type.String({ description: "Name of the rule or route, never its secret" }),
  attempts: Type.Integer({ minimum: 1 }),
  at: Time,
};

export const DeliveryMade = message({
  name: "delivery.made",
  type: "millrace.delivery.made.v1",
  stream: EVENTS.name,
  address: "evt.{tenant}.{project}.delivery.{destination}.{id}.{attempt}",
  description: "An outcome reached a receiver, which confirmed it.",
  schema: Type.Object(
    { ...Delivery, status: Type.Optional(Type.Integer({ description: "HTTP status of the receiver" })) },
    { additionalProperties: false },
  ),
  from: "notifier",
  to: ["audit"],
});
export type DeliveryMade = Payload<typeof DeliveryMade>;

export const DeliveryFailed = message({
  name: "delivery.failed",
  type: "millrace.delivery.failed.v1",
  stream: EVENTS.name,
  address: "evt.{tenant}.{project}.delivery.{destination}.{id}.{attempt}",
  description: "An outcome could not be delivered and will not be tried again by itself.",
  schema: Type.Object(
    { ...Delivery, code: Type.String({ description: "A permanent code" }), detail: Type.String({ maxLength: 2000 }) },
    { additionalProperties: false },
  ),
  from: "notifier, bridge",
  to: ["audit"],
});
export type DeliveryFailed = Payload<typeof DeliveryFailed>;

export const DeadLetterRedriven = message({
  name: "dead-letter.redriven",
  type: "millrace.dead-letter.redriven.v1",
  stream: EVENTS.name,
  address: "evt.{tenant}.{project}.dead-letter.{model}.{id}.{attempt}",
  description: "Somebody decided that a dead letter runs again; the new request follows from this.",
  schema: RedriveDecision,
  from: "ingest",
  to: ["keeper", "audit"],
});

export const DeadLetterDiscarded = message({
  name: "dead-letter.discarded",
  type: "millrace.dead-letter.discarded.v1",
  stream: EVENTS.name,
  address: "evt.{tenant}.{project}.dead-letter.{model}.{id}.{attempt}",
  description: "Somebody decided that a dead letter stays dead.",
  schema: DiscardDecision,
  from: "ingest",
  to: ["audit"],
});

export const RequestRequeued = message({
  name: "request.requeued",
  type: "millrace.request.requeued.v1",
  stream: EVENTS.name,
  address: "evt.{tenant}.{project}.request.{model}.{id}.{sequence}",
  description: "A request that no consumer held any more, and that had no outcome, was put into its queue again.",
  schema: Type.Object(
    {
      tenant: Type.String(),
      project: Type.String(),
      model: Type.String(),
      id: Type.String(),
      sequence: Type.Integer({ minimum: 1, description: "Where it was" }),
      requeued_sequence: Type.Integer({ minimum: 1, description: "Where it is now" }),
      at: Time,
    },
    { additionalProperties: false },
  ),
  from: "keeper",
  to: ["audit"],
});
export type RequestRequeued = Payload<typeof RequestRequeued>;

export const ServiceBusDeadLettered = message({
  name: "servicebus.dead-lettered",
  type: "millrace.servicebus.dead-lettered.v1",
  stream: EVENTS.name,
  address: "evt.{tenant}.{project}.servicebus.{entity}",
  description:
    "Messages were dead-lettered at Service Bus: more are among the dead letters of a queue or subscription than before. An entity is of no tenant: both tokens are `_`.",
  schema: Type.Object(
    {
      namespace: Type.String(),
      entity: Type.String({ description: "`queue`, or `topic/Subscriptions/name`" }),
      count: Type.Integer({ minimum: 1, description: "Dead letters now" }),
      at_least: Type.Boolean({
        description: "More may be there: only so many were looked at, without the right to count",
      }),
      before: Type.Integer({ minimum: 0, description: "As many were known before" }),
      reasons: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
        description: "`DeadLetterReason` and how many have it, of those looked at",
      }),
      sample_message_ids: Type.Array(Type.String(), { maxItems: 10 }),
      at: Time,
    },
    { additionalProperties: false },
  ),
  from: "bridge",
  to: ["audit"],
});
export type ServiceBusDeadLettered = Payload<typeof ServiceBusDeadLettered>;

export const MESSAGES = [
  InferenceRequested,
  InferenceCompleted,
  InferenceDeadLettered,
  DeliveryMade,
  DeliveryFailed,
  DeadLetterRedriven,
  DeadLetterDiscarded,
  RequestRequeued,
  ServiceBusDeadLettered,
] as const;
