import { CONSUMER_DEFAULTS, HEADER_LENGTH, retryDelay } from "@millrace/contracts";
import { AckPolicy, type ConsumerMessages, DeliverPolicy, type JsMsg, nanos, ReplayPolicy } from "nats";
import type { Bus } from "./bus.ts";
import type { Consumption } from "./consume.ts";
import { headerReader } from "./header-reader.ts";
import type { StoredMessage } from "./read.ts";

/** How far a reader has come in one stream. `created` tells a stream from one made anew under the same name. */
export type StreamPosition = { created: string; sequence: number };

/** Who takes a stream in order. It keeps its position together with what it made of the messages, atomically. */
export type OrderedReader = {
  /** Where it is; undefined before the first message. */
  position(): StreamPosition | undefined;
  /** Takes messages in stream order and its new position. A throw takes nothing; the same messages come again. */
  take(messages: readonly StoredMessage[], position: StreamPosition): void | Promise<void>;
};

const PULL_EXPIRES_MS = 5_000;
/** A cluster that elects leaders fails every try for a while; once it is back, the only reader should not sleep on. */
const RESUME_WAIT_MS_MAX = 2_000;

/**
 * Reads a whole stream strictly in order, for one reader at a time. A plain durable cannot: what a killed process had
 * not acked comes back only after `ack_wait`, and later messages overtake it. Here the reader's own position decides.
 * The durable is made anew behind it at each start, after a failed `take`, and whenever a delivery was lost (the
 * consumer's delivery sequence has a gap), so nothing is skipped, even when the reader's store was restored from a
 * backup. The durable remains what shows the backlog.
 *
 * A reader whose position the stream does not have (made anew, or its tail lost with a disk) is read from the start;
 * the reader recognizes what it already has.
 */
export function consumeInOrder(
  bus: Bus,
  spec: { stream: string; durable: string; batch_max: number },
  reader: OrderedReader,
): Consumption {
  const stopping = new AbortController();
  let pull: ConsumerMessages | undefined;
  let inFlight = 0;
  let healthy = true;

  const begin = async (): Promise<StreamPosition> => {
    const { created, state } = await bus.jsm.streams.info(spec.stream);
    const known = reader.position();
    const goesOn = known !== undefined && known.created === created && known.sequence <= state.last_seq;
    if (known && !goesOn)
      bus.log.warn(
        { stream: spec.stream, known, created, last_sequence: state.last_seq },
        "the stream is not the one read so far; reading it from its start",
      );
    const position = goesOn ? known : { created, sequence: 0 };
    await bus.jsm.consumers.delete(spec.stream, spec.durable).catch(ignoreAbsent);
    await bus.jsm.consumers.add(spec.stream, {
      name: spec.durable,
      durable_name: spec.durable,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: position.sequence + 1,
      replay_policy: ReplayPolicy.Instant,
      ack_wait: nanos(CONSUMER_DEFAULTS.ack_wait_ms),
      max_deliver: -1,
      max_ack_pending: spec.batch_max * 4,
    });
    return position;
  };

  /** Reads until stopped; throws when the order can no longer be trusted or the reader refused a batch. */
  const read = async () => {
    let { created, sequence } = await begin();
    const consumer = await bus.js.consumers.get(spec.stream, spec.durable);
    let delivered = 0;
    let batch: JsMsg[] = [];

    const flush = async () => {
      if (batch.length === 0) return;
      inFlight = batch.length;
      await reader.take(batch.map(toStored), { created, sequence });
      for (const message of batch) message.ack();
      inFlight = 0;
      failures = 0;
      batch = [];
    };

    while (!stopping.signal.aborted) {
      pull = await consumer.fetch({ max_messages: spec.batch_max * 2, expires: PULL_EXPIRES_MS });
      if (stopping.signal.aborted) pull.stop();
      healthy = true;
      for await (const message of pull) {
        const { deliverySequence, streamSequence } = message.info;
        if (deliverySequence !== ++delivered || streamSequence <= sequence)
          throw new Error(`${spec.durable}: delivery ${deliverySequence} came instead of ${delivered}`);
        sequence = streamSequence;
        batch.push(message);
        // One turn of the event loop lets everything that arrived in the same read join the batch.
        if (pull.getPending() <= 1) await turn();
        if (batch.length >= spec.batch_max || pull.getPending() <= 1) await flush();
        if (stopping.signal.aborted) break;
      }
      await flush();
    }
  };

  let failures = 0;
  const reading = (async () => {
    while (!stopping.signal.aborted) {
      try {
        await read();
      } catch (err) {
        if (stopping.signal.aborted) break;
        pull?.stop();
        healthy = false;
        inFlight = 0;
        failures++;
        bus.log.warn({ err, consumer: spec.durable, failures }, "reading in order was interrupted; going on");
        const delay_ms = retryDelay("infrastructure", failures) ?? RESUME_WAIT_MS_MAX;
        await pause(Math.min(delay_ms, RESUME_WAIT_MS_MAX), stopping.signal);
      }
    }
  })();

  return {
    get inFlight() {
      return inFlight;
    },
    held: 0, // what cannot be taken is pulled again
    get healthy() {
      return healthy && bus.connected;
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      pull?.stop();
      await reading;
    },
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });

function ignoreAbsent(cause: unknown): boolean {
  if ((cause as { api_error?: { code?: number } }).api_error?.code === 404) return false;
  throw cause;
}

function toStored(message: JsMsg): StoredMessage {
  const { streamSequence, timestampNanos } = message.info;
  const header = headerReader(message.headers);
  const length = header(HEADER_LENGTH);
  return {
    subject: message.subject,
    sequence: streamSequence,
    body: message.data,
    ...(length ? { headerLength: Number(length) } : {}),
    stored_at: new Date(timestampNanos / 1e6),
    header,
  };
}
