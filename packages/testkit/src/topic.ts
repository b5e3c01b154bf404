import { openServiceBus } from "@millrace/azure";
import type { Run } from "@millrace/local";

export type ReceivedMessage = {
  /**
   * Which message of the subscription it is. The same number again is the same message: peek-lock delivers it once more
   * when the completion was lost with the broker. A duplicate would have a number of its own.
   */
  sequenceNumber: string;
  messageId: string;
  correlationId: string | undefined;
  body: Buffer;
  /** When it came, by the wall clock. */
  arrived_ms: number;
  applicationProperties: Readonly<Record<string, unknown>>;
};

/** Receives from a subscription and keeps what came, in order, repeats included. */
export type TopicFollower = AsyncDisposable & {
  readonly messages: readonly ReceivedMessage[];
  readonly errors: readonly unknown[];
};

export async function followTopic({
  connectionString,
  topic,
  subscription,
}: Run["serviceBus"]): Promise<TopicFollower> {
  await using stack = new AsyncDisposableStack();
  const messages: ReceivedMessage[] = [];
  const errors: unknown[] = [];
  const serviceBus = stack.use(await openServiceBus({ connectionString }));
  stack.use(
    serviceBus.subscribe(
      { topic, subscription },
      ({ sequenceNumber, messageId, correlationId, body, applicationProperties = {} }) => {
        messages.push({
          sequenceNumber: String(sequenceNumber),
          messageId: String(messageId),
          correlationId: correlationId === undefined ? undefined : String(correlationId),
          body,
          arrived_ms: Date.now(),
          applicationProperties,
        });
      },
      (cause) => errors.push(cause),
    ),
  );
  const owned = stack.move();
  return { messages, errors, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
