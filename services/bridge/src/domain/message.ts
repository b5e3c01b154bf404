import type { OutgoingMessage } from "@millrace/azure";
import type { StoredOutcome } from "@millrace/bus";
import {
  effectId,
  HEADER_LENGTH,
  InferenceCompleted,
  InferenceDeadLettered,
  outcomeId,
  toAmqpProperties,
} from "@millrace/contracts";

/**
 * An outcome as a Service Bus message. The body is the canonical bytes as stored, so that the consumer can check the
 * digest that the ledger has. `messageId` is the effect's id: a topic with duplicate detection takes a repeat once.
 * Context attributes follow the CloudEvents AMQP binding; the plain properties are there for subscription filters.
 */
export function toMessage(outcome: StoredOutcome, route: string): OutgoingMessage {
  const { record, envelope, body } = outcome;
  const completed = record.state === "done" ? InferenceCompleted : InferenceDeadLettered;
  return {
    messageId: effectId(outcomeId(record.id, record.attempt), route),
    correlationId: envelope.correlationid,
    subject: completed.name,
    contentType: envelope.datacontenttype,
    body: Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.byteLength),
    applicationProperties: {
      ...toAmqpProperties(envelope),
      tenant: record.tenant,
      project: record.project,
      model: record.model.name,
      ...(record.model.version === undefined ? {} : { modelVersion: record.model.version }),
      state: record.state,
      requestDigest: record.request.digest,
      requestSequence: record.request.sequence,
      ...(body.headerLength === undefined ? {} : { [HEADER_LENGTH]: body.headerLength }),
    },
  };
}
