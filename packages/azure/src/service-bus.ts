import { ServiceBusClient, type ServiceBusReceivedMessage } from "@azure/service-bus";
import { bounded } from "./bounded.ts";
import { credential } from "./credential.ts";
import { openSender, type Sender } from "./sender.ts";

/** Where the namespace is: with a connection string (keys), or by name, with the process's own identity. */
export type ServiceBusAddress = { connectionString: string } | { fullyQualifiedNamespace: string };

export type ServiceBus = AsyncDisposable & {
  /** A sender of a topic or queue. The link is made on first use, and again by itself after it was lost. */
  sender(entity: string): Sender;
  /**
   * Receives from a subscription in peek-lock mode and completes each message that the callback took; one that it
   * threw on is abandoned. A body is the bytes as they were sent. Ends when disposed.
   */
  subscribe(
    from: { topic: string; subscription: string },
    onMessage: (message: ServiceBusReceivedMessage) => void | Promise<void>,
    onError?: (cause: unknown) => void,
  ): AsyncDisposable;
};

/** The SDK's own default, three tries of 30 s each, would hide a broken link for minutes; callers here retry. */
const RETRY = { maxRetries: 1, retryDelayInMs: 200, timeoutInMs: 15_000 };

export type ServiceBusOptions = {
  /** AMQP inside WebSockets (port 443), and through the proxy that `HTTPS_PROXY` names. */
  webSocket?: boolean;
};

/** Opens a client. Nothing is connected before the first send or receive. */
export async function openServiceBus(
  address: ServiceBusAddress,
  { webSocket = false }: ServiceBusOptions = {},
): Promise<ServiceBus> {
  const options = {
    retryOptions: RETRY,
    ...(webSocket && { webSocketOptions: (await import("./web-socket.ts")).webSocketOptions() }),
  };
  const client =
    "connectionString" in address
      ? new ServiceBusClient(address.connectionString, options)
      : new ServiceBusClient(address.fullyQualifiedNamespace, credential(), options);
  return {
    sender: (entity) => openSender(client, entity),
    subscribe({ topic, subscription }, onMessage, onError = () => {}) {
      const receiver = client.createReceiver(topic, subscription, {
        receiveMode: "peekLock",
        skipParsingBodyAsJson: true, // the bytes as sent: their digest is what the ledger has
      });
      const handlers = {
        processMessage: async (message: ServiceBusReceivedMessage) => onMessage(message),
        processError: async ({ error }: { error: unknown }) => onError(error),
      };
      receiver.subscribe(handlers, { autoCompleteMessages: true, maxConcurrentCalls: 64 });
      return { [Symbol.asyncDispose]: () => bounded(receiver.close()) };
    },
    [Symbol.asyncDispose]: () => bounded(client.close()),
  };
}
