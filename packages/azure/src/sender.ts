import type { ServiceBusClient, ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender } from "@azure/service-bus";
import { bounded } from "./bounded.ts";
import { type SendFailure, type SendFailureKind, toFailure } from "./failure.ts";

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
  | "replyTo"
  | "replyToSessionId"
> & { body: Buffer };

export type SendResult = { ok: true } | ({ ok: false } & SendFailure);

export type Sender = AsyncDisposable & {
  /**
   * Sends in as few batches as the entity's size limit allows, one after the other, and answers for each message, in
   * order, whether Service Bus has taken it. Behind a failure nothing is sent; if it is of one message alone, nothing of
   * its session. Expected failures are values; it does not throw for them.
   */
  sendAll(messages: readonly OutgoingMessage[]): Promise<SendResult[]>;
};

/** Failures of the link, one after the other, behind which it is made anew. */
const FAILURES_MAX = 3;
/** Of one message; the others of its batch may be taken. */
const isOfMessage = (kind: SendFailureKind): boolean => kind === "too-large" || kind === "refused";

const BEHIND: SendResult = { ok: false, kind: "behind", why: "one before it in its session was not taken" };

/** A sender of an entity. Its link is made on first use, and again after it was lost, or seems dead. */
export function openSender(client: ServiceBusClient, entity: string): Sender {
  let sender = client.createSender(entity);
  let failures = 0;
  /** A link that let a send time out may never answer again, and the SDK would go on using it. */
  const judge = (failed: ServiceBusSender, result: SendResult) => {
    if (sender !== failed) return; // a send that began before it was made anew
    failures = result.ok || isOfMessage(result.kind) ? 0 : failures + 1;
    if (result.ok || (result.kind !== "timeout" && failures < FAILURES_MAX)) return;
    sender = client.createSender(entity);
    failures = 0;
    void bounded(failed.close());
  };
  const send = async (packed: Packed): Promise<SendResult> => {
    const used = packed.sender;
    const result = packed.ok ? await sendBatch(used, packed.batch) : { ok: false as const, ...packed.failure };
    judge(used, result);
    return result;
  };
  return {
    async sendAll(messages) {
      const results = new Array<SendResult>(messages.length);
      let open = [...messages.keys()];
      let most = messages.length;
      while (open.length > 0) {
        const packed = await packBatch(
          sender,
          open.slice(0, most).map((index) => messages[index]!),
        );
        const result = await send(packed);
        const ofMessage = !result.ok && isOfMessage(result.kind);
        if (ofMessage && packed.count > 1) {
          // One of them is meant (or the service counts more strictly than the SDK packs): smaller batches, until it stands alone.
          most = Math.ceil(packed.count / 2);
          continue;
        }
        const settled = open.splice(0, packed.count);
        for (const index of settled) results[index] = result;
        if (result.ok) continue;
        // What follows a failed batch was not tried: sending it would overtake. One message alone holds up its session only.
        most = messages.length;
        const session = messages[settled[0]!]!.sessionId;
        open = open.filter((index) => {
          if (ofMessage && (session === undefined || messages[index]!.sessionId !== session)) return true;
          results[index] = ofMessage ? BEHIND : result;
          return false;
        });
      }
      return results;
    },
    [Symbol.asyncDispose]: () => bounded(sender.close()),
  };
}

/** `count`: messages that it stands for. */
type Packed = { sender: ServiceBusSender; count: number } & (
  | { ok: true; batch: ServiceBusMessageBatch }
  | { ok: false; failure: SendFailure }
);

/** Fills one batch, up to the size that the link states, with as many of the messages as fit. */
async function packBatch(sender: ServiceBusSender, messages: readonly OutgoingMessage[]): Promise<Packed> {
  let count = 0;
  try {
    const batch = await sender.createMessageBatch();
    while (count < messages.length && batch.tryAddMessage(messages[count]!)) count++;
    if (count > 0) return { ok: true, sender, batch, count };
    const why = `the message is larger than the ${batch.maxSizeInBytes} bytes that the entity takes`;
    return { ok: false, sender, failure: { kind: "too-large", why }, count: 1 };
  } catch (cause) {
    // What cannot be encoded stands behind those that were added.
    return { ok: false, sender, failure: toFailure(cause), count: Math.max(1, count + 1) };
  }
}

async function sendBatch(sender: ServiceBusSender, batch: ServiceBusMessageBatch): Promise<SendResult> {
  try {
    await sender.sendMessages(batch);
    return { ok: true };
  } catch (cause) {
    return { ok: false, ...toFailure(cause) };
  }
}
