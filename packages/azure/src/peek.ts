import type { ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import { bounded } from "./bounded.ts";
import { type MessageOrigin, receiverOf } from "./receiver.ts";

/** What may be told of a message without taking it; its body stays where it is. */
export type PeekedMessage = Pick<
  ServiceBusReceivedMessage,
  "messageId" | "deliveryCount" | "enqueuedTimeUtc" | "deadLetterReason" | "deadLetterErrorDescription" | "state"
>;

/** Messages of one request; the service gives fewer when they are large. */
const PAGE = 100;

type Position = NonNullable<ServiceBusReceivedMessage["sequenceNumber"]>;

/**
 * Position 0, once any message has shown us a position: the SDK wants its own kind of number. A peek that names no position
 * goes on behind the last one of the same client; before the first message was seen, that is the beginning, too.
 */
let beginning: Position | undefined;

/** Peeks from the beginning, or from a position. */
export async function peekPage(
  receiver: Pick<ServiceBusReceiver, "peekMessages">,
  count: number,
  from: Position | undefined = beginning,
): Promise<ServiceBusReceivedMessage[]> {
  const page = await receiver.peekMessages(count, from === undefined ? {} : { fromSequenceNumber: from });
  const position = page[0]?.sequenceNumber;
  if (position) beginning ??= position.subtract(position);
  return page;
}

/**
 * Looks at the first messages of an entity, or of its dead letters, and changes nothing. Needs the right to listen.
 * @param count of messages at most
 * @throws what the SDK throws
 */
export async function peek(
  client: ServiceBusClient,
  from: MessageOrigin,
  { count, deadLetters = false }: { count: number; deadLetters?: boolean },
): Promise<PeekedMessage[]> {
  const receiver = receiverOf(client, from, deadLetters);
  const found: ServiceBusReceivedMessage[] = [];
  try {
    while (found.length < count) {
      const page = await peekPage(receiver, Math.min(PAGE, count - found.length), found.at(-1)?.sequenceNumber?.add(1));
      if (page.length === 0) break;
      found.push(...page);
    }
    return found.map(peeked);
  } finally {
    await bounded(receiver.close());
  }
}

const peeked = (message: ServiceBusReceivedMessage): PeekedMessage => ({
  messageId: message.messageId,
  deliveryCount: message.deliveryCount,
  enqueuedTimeUtc: message.enqueuedTimeUtc,
  deadLetterReason: message.deadLetterReason,
  deadLetterErrorDescription: message.deadLetterErrorDescription,
  state: message.state,
});
