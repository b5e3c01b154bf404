import type { LockedMessage, SendFailure, ServiceBus } from "@millrace/azure";
import { type Bus, consumeOutcomes, submissionBytesMax, submitRequest } from "@millrace/bus";
import { consumerName, replyDestination, type Source } from "@millrace/contracts";
import type { Scope } from "@millrace/kit";
import { pause } from "./adapters/pause.ts";
import type { ReplySenders } from "./adapters/reply-senders.ts";
import type { Config } from "./config.ts";
import { originOf } from "./domain/sources.ts";
import { type Ending, onMessageReceived } from "./handlers/message-received.ts";
import { onReplyDue } from "./handlers/reply-due.ts";
import type { InboundMetrics } from "./inbound-metrics.ts";

export type SourceOptions = { bus: Bus; serviceBus: ServiceBus; replies: ReplySenders; metrics: InboundMetrics };

/** A source at work. Disposing it stops receiving; what is under way ends, what is held goes back to the entity. */
export type OpenSource = AsyncDisposable & { health(): { ok: boolean; detail?: string } };

/** Ingest answers when the request is on disk, and waits out a broker that restarts. */
const SUBMIT_TIMEOUT_MS = 20_000;

/** Opens a source: first the consumer of its replies, so that none is missed, then the link that brings requests. */
export async function openSource(scope: Scope<Config>, source: Source, options: SourceOptions): Promise<OpenSource> {
  await using opening = new AsyncDisposableStack();
  const replying = opening.use(await openReplies(scope, source, options));
  const receiving = opening.use(openRequests(scope, source, options));
  const opened = opening.move();
  return {
    health() {
      for (const detail of [receiving.trouble(), replying.trouble()]) if (detail) return { ok: false, detail };
      return { ok: true };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

type Part = AsyncDisposable & { trouble(): string | undefined };

function openRequests({ config, log }: Scope<Config>, source: Source, options: SourceOptions): Part {
  const { bus, serviceBus, replies, metrics } = options;
  const { name } = source;
  const stopping = new AbortController();
  const held = new Map<LockedMessage, string>();
  let unreachable: string | undefined = "not connected yet";
  const onMessage = onMessageReceived({
    source,
    here: { host: serviceBus.host, body_bytes_max: submissionBytesMax(bus) },
    submit: (call) => submitRequest(bus, call, SUBMIT_TIMEOUT_MS),
    reply: async (entity, message) => (await replies.send(entity, [message]))[0]!,
    now: Date.now,
    wait: pause,
    signal: stopping.signal,
    hold_max_ms: config.INBOUND_HOLD_MAX_S * 1_000,
    told: {
      received: () => metrics.messages.inc({ source: name, result: "received" }),
      holding(message, why) {
        const before = held.size;
        if (why === undefined) held.delete(message);
        else held.set(message, why);
        if (before === 0 && why) log.warn({ source: name, why }, "requests are not taken now; holding their messages");
        if (before > 0 && held.size === 0) log.info({ source: name }, "no message is held any more");
        metrics.held.set({ source: name }, held.size);
      },
      ended(ending, { message: { message }, why }) {
        metrics.messages.inc({ source: name, result: ending });
        if (LEVELS[ending] === undefined) return;
        const { messageId: message_id, deliveryCount: deliveries } = message;
        log[LEVELS[ending]]({ source: name, message_id, deliveries, ending, why }, "message not taken as a request");
      },
    },
  });
  const onState = (trouble: SendFailure | undefined) => {
    const [before, now] = [unreachable, trouble && `${trouble.kind}: ${trouble.why}`];
    unreachable = now;
    if (now !== undefined) log.warn({ source: name, why: now }, "the source cannot be received from; trying on");
    else if (before !== undefined) log.info({ source: name }, "receiving from the source");
  };
  const receiver = source.sessions
    ? serviceBus.receiveSessions(originOf(source), {
        sessions: config.INBOUND_SESSIONS_MAX,
        idle_ms: config.INBOUND_SESSION_IDLE_MS,
        onMessage,
        onState,
      })
    : serviceBus.receive(originOf(source), { concurrency: config.INBOUND_MESSAGES_MAX, onMessage, onState });
  return {
    trouble() {
      if (unreachable !== undefined) return `Service Bus: ${unreachable}`;
      const [why] = held.values();
      return why === undefined ? undefined : `${held.size} held: ${why}`;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await receiver[Symbol.asyncDispose]();
      metrics.held.remove({ source: name });
    },
  };
}

/** What is worth a line: it is where the message now is, or says why it comes again. */
const LEVELS: Partial<Record<Ending, "info" | "warn">> = {
  "dead-lettered": "info",
  abandoned: "info",
  "lock lost": "warn",
  unsettled: "warn",
};

async function openReplies({ config, log }: Scope<Config>, source: Source, options: SourceOptions): Promise<Part> {
  const { bus, replies, metrics } = options;
  const { name, tenant, project, model } = source;
  let broken: string | undefined;
  const handle = onReplyDue({
    source: name,
    send: replies.send,
    onTry({ sent, failed, why }) {
      metrics.replies.inc({ source: name, result: "sent" }, sent);
      metrics.replies.inc({ source: name, result: "failed" }, failed);
      if (why !== broken && why) log.warn({ source: name, failed, why }, "replies are not taken; trying on");
      broken = why;
    },
  });
  const consumption = await consumeOutcomes(
    bus,
    {
      durable: consumerName.bridgeReply(name),
      filter: { tenant, project, ...(model === undefined ? {} : { model }) },
      batch_max: config.BATCH_MESSAGES_MAX,
      concurrency: config.BATCHES_IN_FLIGHT,
      deliveries_max: Number.POSITIVE_INFINITY, // restarts while Service Bus is away are not the message's fault
      effect: { channel: "servicebus", destination: replyDestination(name) },
    },
    handle,
  );
  return {
    trouble() {
      if (!consumption.healthy) return "OUTCOMES cannot be read";
      return broken === undefined ? undefined : `replies: ${broken}`;
    },
    [Symbol.asyncDispose]: () => consumption[Symbol.asyncDispose](),
  };
}
