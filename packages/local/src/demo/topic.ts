import { openServiceBus } from "@millrace/azure";
import type { Run } from "../run-file.ts";
import { SUBSCRIPTIONS } from "../service-bus.ts";

export type Tell = { onMessage: (messageId: string) => void; onError: (text: string) => void };

/** Receives from the demonstration's own subscription with Azure's SDK, as an enterprise would from its own. */
export async function followTopic(
  { connectionString, topic }: Run["serviceBus"],
  tell: Tell,
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const serviceBus = stack.use(await openServiceBus({ connectionString }));
  stack.use(
    serviceBus.subscribe(
      { topic, subscription: SUBSCRIPTIONS.demo },
      ({ messageId }) => tell.onMessage(String(messageId)),
      (cause) => tell.onError(`receiving from the topic: ${(cause as Error).message}; the SDK tries again`),
    ),
  );
  return stack.move();
}
