import { createHash } from "node:crypto";
import type { ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage } from "@azure/service-bus";
import { bounded } from "./bounded.ts";
import { type MessageOrigin, receiverOf } from "./receiver.ts";

/** What a clone says of itself, in application properties. */
export const REDRIVE_PROPERTIES = {
  /** The `MessageId` before the first redrive. */
  originalMessageId: "millrace-original-message-id",
  /** How often it was redriven. */
  count: "millrace-redrives",
  /** Where it was dead-lettered: for a topic's subscriptions to filter on. */
  from: "millrace-redriven-from",
  /** The run that redrove it: what dies again at once is not moved again by the same run. */
  run: "millrace-redrive-run",
} as const;

export type RedriveOptions = {
  /** Messages to move at most. */
  limit: number;
  /** Names this run; unique. */
  run: string;
  /** Told of each message, once it is moved, or why it stays. */
  onMessage(moved: { messageId: string; as?: string; kept?: string }): void;
};

/** Messages in hand at once. */
const PAGE = 20;
/** Messages that cannot be moved and are in the way. */
const KEPT_MAX = 1_000;
/** After so long without a message the queue is taken for empty. */
const WAIT_MS = 3_000;

/**
 * Moves dead letters back to where they came from: a queue to itself, a subscription's to its topic. Each is sent as a
 * clone and completed when the send is confirmed, so that a crash in between leaves both, and the clone's id is the same
 * the next time. Of sessions, the order among dead letters is kept.
 * @returns how many were moved
 * @throws what the SDK throws; what was moved until then stays moved
 */
export async function redriveDeadLetters(
  client: ServiceBusClient,
  from: MessageOrigin,
  { limit, run, onMessage }: RedriveOptions,
): Promise<number> {
  const receiver = receiverOf(client, from, true);
  const sender = client.createSender("queue" in from ? from.queue : from.topic);
  let moved = 0;
  /** Held until the end, or they would be received again and again. */
  const kept = new Map<string, ServiceBusReceivedMessage>();
  try {
    while (moved < limit && kept.size < KEPT_MAX) {
      const page = await receiver.receiveMessages(Math.min(PAGE, limit - moved), { maxWaitTimeInMs: WAIT_MS });
      if (page.length === 0 || page.some((message) => kept.has(String(message.sequenceNumber)))) break;
      for (const message of page) {
        const messageId = String(message.messageId ?? message.sequenceNumber);
        const why = reasonToKeep(message, run);
        if (why !== undefined) {
          kept.set(String(message.sequenceNumber), message);
          onMessage({ messageId, kept: why });
          continue;
        }
        const clone = cloneOf(message, { run, from: pathOf(from) });
        await sender.sendMessages(clone);
        await receiver.completeMessage(message);
        moved++;
        onMessage({ messageId, as: String(clone.messageId) });
      }
    }
    // Among dead letters this counts nothing; one whose lock is over is back already.
    await Promise.allSettled([...kept.values()].map((message) => receiver.abandonMessage(message)));
    return moved;
  } finally {
    await bounded(sender.close());
    await bounded(receiver.close());
  }
}

/** As Azure writes it: `queue`, or `topic/Subscriptions/name`. */
export const pathOf = (from: MessageOrigin): string =>
  "queue" in from ? from.queue : `${from.topic}/Subscriptions/${from.subscription}`;

function reasonToKeep({ applicationProperties, body }: ServiceBusReceivedMessage, run: string): string | undefined {
  if (applicationProperties?.[REDRIVE_PROPERTIES.run] === run) return "it died again; this run has moved it once";
  return Buffer.isBuffer(body) ? undefined : "its body is an AMQP value or sequence, which this does not move";
}

/** Longest time to live that AMQP carries; more is none. */
const TTL_MAX_MS = 0xffffffff;
const MESSAGE_ID_MAX = 128;
/** Set by Service Bus when it dead-lettered the message. */
const DEAD_LETTER_PROPERTIES = ["DeadLetterReason", "DeadLetterErrorDescription"];

/**
 * The message again, with another `MessageId`: under the old one, an entity with duplicate detection would swallow it
 * within its window.
 */
function cloneOf(message: ServiceBusReceivedMessage, { run, from }: { run: string; from: string }): ServiceBusMessage {
  const { originalMessageId, count, run: runName, from: fromName } = REDRIVE_PROPERTIES;
  const kept = Object.entries(message.applicationProperties ?? {}).filter(
    ([name]) => !DEAD_LETTER_PROPERTIES.includes(name),
  );
  const properties = Object.fromEntries(kept) as NonNullable<ServiceBusMessage["applicationProperties"]>;
  const original = String(properties[originalMessageId] ?? message.messageId ?? `sequence-${message.sequenceNumber}`);
  const times = (Number(properties[count]) || 0) + 1;
  const optional = {
    correlationId: message.correlationId,
    subject: message.subject,
    contentType: message.contentType,
    sessionId: message.sessionId,
    partitionKey: message.sessionId === undefined ? message.partitionKey : undefined,
    replyTo: message.replyTo,
    replyToSessionId: message.replyToSessionId,
    to: message.to,
    timeToLive: (message.timeToLive ?? 0) > 0 && message.timeToLive! <= TTL_MAX_MS ? message.timeToLive : undefined,
  };
  return {
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as typeof optional),
    body: message.body as Buffer,
    messageId: redriveId(original, times),
    applicationProperties: {
      ...properties,
      [originalMessageId]: original,
      [count]: times,
      [fromName]: from,
      [runName]: run,
    },
  };
}

function redriveId(original: string, times: number): string {
  const id = `${original}:redrive-${times}`;
  if (id.length <= MESSAGE_ID_MAX) return id;
  return `${createHash("sha256").update(original).digest("hex")}:redrive-${times}`;
}
