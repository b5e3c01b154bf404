import { namespaceName, openServiceBus, type ServiceBusAddress } from "@millrace/azure";

/** A subscription, and how its namespace is entered. */
export type FollowedTopic = { address: ServiceBusAddress; topic: string; subscription: string };

export type Tell = { onMessage: (messageId: string) => void; onError: (text: string) => void };

/** Receives from the demonstration's own subscription with Azure's SDK, as an enterprise would from its own. */
export async function followTopic(
  { address, topic, subscription }: FollowedTopic,
  tell: Tell,
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const place =
    "connectionString" in address
      ? address
      : { fullyQualifiedNamespace: namespaceName(address.fullyQualifiedNamespace) };
  const serviceBus = stack.use(await openServiceBus(place));
  stack.use(
    serviceBus.subscribe(
      { topic, subscription },
      ({ messageId }) => tell.onMessage(String(messageId)),
      (cause) => tell.onError(`receiving from the topic: ${(cause as Error).message}; the SDK tries again`),
    ),
  );
  return stack.move();
}
