import {
  ServiceBusClient,
  type ServiceBusMessage,
  type ServiceBusMessageBatch,
  type ServiceBusReceivedMessage,
  type ServiceBusSender,
} from "@azure/service-bus";
import { credential } from "./credential.ts";
import { type SendFailure, toFailure } from "./failure.ts";

/** Where the namespace is: with a connection string (keys), or by name, with the process's own identity. */
export type ServiceBusAddress = { connectionString: string } | { fullyQualifiedNamespace: string };

/** A message to send. `body` goes out as it is, in one AMQP data section. */
export type OutgoingMessage = Pick<
  ServiceBusMessage,
  | "messageId"
  | "correlationId"
  | "subject"
  | "contentType"
  | "applicationProperties"
  | "sessionId"
  | "partitionKey"
  | "timeToLive"
> & { body: Buffer };

export type SendResult = { ok: true } | ({ ok: false } & SendFailure);

export type Sender = AsyncDisposable & {
  /**
   * Sends in as few batches as the entity's size limit allows, and answers for each message, in order, whether Service
   * Bus has taken it. Expected failures are values; it does not throw for them.
   */
  sendAll(messages: readonly OutgoingMessage[]): Promise<SendResult[]>;
};

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
const CLOSE_TIMEOUT_MS = 3_000;

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

function openSender(client: ServiceBusClient, entity: string): Sender {
  const sender = client.createSender(entity);
  return {
    async sendAll(messages) {
      const results: SendResult[] = [];
      let most = messages.length;
      while (results.length < messages.length) {
        const batch = await packBatch(sender, messages.slice(results.length, results.length + most));
        if (!batch.ok) {
          // A message too large for an empty batch stands alone; any other failure is of the link, and holds for all.
          const { failure } = batch;
          const count = failure.kind === "too-large" ? 1 : messages.length - results.length;
          for (let i = 0; i < count; i++) results.push({ ok: false, ...failure });
          continue;
        }
        const result = await send(sender, batch.batch);
        if (!result.ok && result.kind === "too-large" && batch.count > 1) {
          // The service counts more strictly than the SDK packs: smaller batches, until the one that is too large stands alone.
          most = Math.ceil(batch.count / 2);
          continue;
        }
        for (let i = 0; i < batch.count; i++) results.push(result);
        // What follows a failed batch was not tried: sending it would overtake. A message too large holds nobody up.
        if (!result.ok && result.kind !== "too-large") while (results.length < messages.length) results.push(result);
      }
      return results;
    },
    [Symbol.asyncDispose]: () => bounded(sender.close()),
  };
}

type Packed = { ok: true; batch: ServiceBusMessageBatch; count: number } | { ok: false; failure: SendFailure };

/** Fills one batch, up to the size that the link states, with as many of the messages as fit. */
async function packBatch(sender: ServiceBusSender, messages: readonly OutgoingMessage[]): Promise<Packed> {
  try {
    const batch = await sender.createMessageBatch();
    let count = 0;
    while (count < messages.length && batch.tryAddMessage(messages[count]!)) count++;
    if (count > 0) return { ok: true, batch, count };
    const why = `the message is larger than the ${batch.maxSizeInBytes} bytes that the entity takes`;
    return { ok: false, failure: { kind: "too-large", why } };
  } catch (cause) {
    return { ok: false, failure: toFailure(cause) };
  }
}

async function send(sender: ServiceBusSender, batch: ServiceBusMessageBatch): Promise<SendResult> {
  try {
    await sender.sendMessages(batch);
    return { ok: true };
  } catch (cause) {
    return { ok: false, ...toFailure(cause) };
  }
}

/** Closing asks the other side, which may be gone. */
const bounded = async (closing: Promise<void>): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
  });
  await Promise.race([closing.catch(() => {}), timeout]);
  clearTimeout(timer);
};
