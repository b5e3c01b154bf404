import { ServiceBusClient, type ServiceBusClientOptions, type ServiceBusReceivedMessage } from "@azure/service-bus";
import { bounded } from "./bounded.ts";
import { credential } from "./credential.ts";
import { type PeekedMessage, peek } from "./peek.ts";
import { type MessageOrigin, openReceiver, type ReceiveOptions, type Receiver } from "./receiver.ts";
import { type RedriveOptions, redriveDeadLetters } from "./redrive.ts";
import type { Secret } from "./secret.ts";
import { openSender, type Sender } from "./sender.ts";
import { openSessionReceiver, type SessionReceiveOptions } from "./session-receiver.ts";
import { openSharedAccess, type SharedAccess } from "./shared-access.ts";

/** Where the namespace is: with a connection string (keys), or by name, with the process's own identity. */
export type ServiceBusAddress = { connectionString: string } | { fullyQualifiedNamespace: string };

/**
 * A connection string that is kept somewhere, and rotated while the client is open. One of an emulator
 * (`UseDevelopmentEmulator=true`) is read once: the SDK takes plain TCP from a whole string only.
 */
export type RotatedAddress = { rotated: Secret };

export type ServiceBus = AsyncDisposable & {
  /** Name of the namespace's host. */
  readonly host: string;
  /** A sender of a topic or queue. The link is made on first use, and again by itself after it was lost. */
  sender(entity: string): Sender;
  /** Receives in peek-lock mode; what is received is settled by whom it is given to. */
  receive(from: MessageOrigin, options: ReceiveOptions): Receiver;
  /** The same of an entity that requires sessions. */
  receiveSessions(from: MessageOrigin, options: SessionReceiveOptions): Receiver;
  /** Looks at messages, or dead letters, and takes none. @throws what the SDK throws */
  peek(from: MessageOrigin, options: { count: number; deadLetters?: boolean }): Promise<PeekedMessage[]>;
  /** Moves dead letters back to where they came from; answers how many. @throws what the SDK throws */
  redrive(from: MessageOrigin, options: RedriveOptions): Promise<number>;
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

/** Opens a client. Nothing is connected before the first send or receive; a rotated secret is read before. */
export async function openServiceBus(
  address: ServiceBusAddress | RotatedAddress,
  { webSocket = false }: ServiceBusOptions = {},
): Promise<ServiceBus> {
  const options = {
    retryOptions: RETRY,
    ...(webSocket && { webSocketOptions: (await import("./web-socket.ts")).webSocketOptions() }),
  };
  const found = "rotated" in address ? await readAddress(address.rotated) : address;
  const access = "credential" in found ? found : undefined;
  const client = openClient(found, options);
  return {
    host: client.fullyQualifiedNamespace,
    sender: (entity) => {
      const sender = openSender(client, entity);
      return access ? access.heed(sender) : sender;
    },
    receive: (from, options) => openReceiver(client, from, access?.listen(options) ?? options),
    receiveSessions: (from, options) => openSessionReceiver(client, from, access?.listen(options) ?? options),
    peek: (from, options) => peek(client, from, options),
    redrive: (from, options) => redriveDeadLetters(client, from, options),
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
    async [Symbol.asyncDispose]() {
      access?.[Symbol.dispose]();
      await bounded(client.close());
    },
  };
}

async function readAddress(secret: Secret): Promise<SharedAccess | { connectionString: string }> {
  const [connectionString] = await secret.values();
  return /;\s*UseDevelopmentEmulator=true/.test(connectionString) ? { connectionString } : openSharedAccess(secret);
}

function openClient(address: ServiceBusAddress | SharedAccess, options: ServiceBusClientOptions): ServiceBusClient {
  if ("connectionString" in address) return new ServiceBusClient(address.connectionString, options);
  if ("credential" in address) return new ServiceBusClient(address.host, address.credential, options);
  return new ServiceBusClient(address.fullyQualifiedNamespace, credential(), options);
}
