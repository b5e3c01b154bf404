import { CONSUMER_DEFAULTS, HEADER_LENGTH, type Problem, problem, retryDelay } from "@millrace/contracts";
import { AckPolicy, type Consumer, type ConsumerMessages, DeliverPolicy, type JsMsg, nanos, ReplayPolicy } from "nats";
import type { Bus } from "./bus.ts";
import { headerReader } from "./header-reader.ts";
import type { Outgoing } from "./outgoing.ts";
import { settlement } from "./settlement.ts";
import type { Verdict } from "./verdict.ts";
import { wait } from "./wait.ts";

/** A durable pull consumer with explicit acks, and how much of it this process takes at once. */
export type ConsumerSpec = {
  stream: string;
  durable: string;
  /** Subjects it sees; absent = all of the stream. */
  filter?: string;
  /** Where the durable starts when it is first made: with all that is retained, or with what comes. Default all. */
  begin?: "all" | "new";
  /** Deliver no bodies, only headers. */
  headers_only?: boolean;
  /** Messages given to the handler in one call. A lone message goes at once; batches form by load. */
  batch_max: number;
  /** Handler calls under way at once. 1 keeps the stream's order. */
  concurrency: number;
  /**
   * Deliveries after which a message is taken for poison and dead-lettered unseen. Infinity where the message itself
   * cannot hurt, and a stop or a crash while its receiver is away must not count against it.
   */
  deliveries_max?: number;
  /** Server-side bound on unacknowledged messages of all replicas together. */
  ack_pending_max?: number;
};

/** One delivery of a stored message. */
export type Delivery = {
  subject: string;
  body: Uint8Array;
  headerLength?: number;
  header(name: string): string | undefined;
  stream: string;
  /** Position in the stream. */
  sequence: number;
  /** 1 for the first delivery. */
  attempt: number;
  /** When the stream stored it. */
  stored_at: Date;
};

/** A running consumption. Disposing it stops pulling, waits for the handlers under way, and settles what they gave. */
export type Consumption = AsyncDisposable & {
  /** Deliveries taken and not settled yet. */
  readonly inFlight: number;
  /** Whether the last pull worked. */
  readonly healthy: boolean;
};

export type ConsumeHooks = {
  /** Builds the dead letter of a reject; none when the stream needs none. */
  deadLetter: (delivery: Delivery, problem: Problem) => Outgoing | undefined;
  /** Called once per settled delivery, for metrics. */
  settled?: (delivery: Delivery, outcome: string, duration_ms: number) => void;
};

const RESTART_WAIT_MS = 500;
/** How long an idle pull stays open; a server that is silent for longer than half of it is taken for gone. */
const PULL_EXPIRES_MS = 10_000;
const STOP_FLUSH_MS = 1_000;

/**
 * Pulls, hands over in batches, and settles by the handler's verdicts (one per delivery, in order). A handler that
 * throws is a bug of ours, not of the message: its deliveries are tried again as infrastructure. The pull survives
 * lost connections, server restarts and a deleted consumer.
 */
export async function consume(
  bus: Bus,
  spec: ConsumerSpec,
  handle: (deliveries: readonly Delivery[]) => Promise<readonly Verdict[]>,
  hooks: ConsumeHooks,
): Promise<Consumption> {
  await ensureConsumer(bus, spec);
  const queue: JsMsg[] = [];
  const inFlight = new Set<JsMsg>();
  const queueMax = spec.batch_max * 2;
  let active = 0;
  let stopping = false;
  let healthy = true;
  let pull: ConsumerMessages | undefined;
  let wake = () => {};
  let scheduled = false;

  const pump = () => {
    scheduled = false;
    while (active < spec.concurrency && queue.length > 0 && !stopping) {
      const batch = queue.splice(0, spec.batch_max);
      active++;
      void run(batch).finally(() => {
        active--;
        for (const message of batch) inFlight.delete(message);
        pump();
        wake();
      });
    }
    wake();
  };
  // One turn of the event loop lets everything that arrived in the same read join the batch.
  const schedule = () => {
    if (!scheduled) {
      scheduled = true;
      setImmediate(pump);
    }
  };

  const run = async (batch: readonly JsMsg[]) => {
    const started = performance.now();
    const deliveries = batch.map(toDelivery);
    const fit: Delivery[] = [];
    const verdicts = new Map<Delivery, Verdict>();
    for (const delivery of deliveries) {
      const poison = tooOften(delivery, spec.deliveries_max ?? CONSUMER_DEFAULTS.deliveries_max);
      if (poison) verdicts.set(delivery, poison);
      else fit.push(delivery);
    }
    try {
      const given = fit.length > 0 ? await handle(fit) : [];
      if (given.length !== fit.length)
        throw new Error(`the handler of ${spec.durable} gave ${given.length} verdicts for ${fit.length} deliveries`);
      for (const [index, delivery] of fit.entries()) verdicts.set(delivery, given[index]!);
    } catch (err) {
      bus.log.error({ err, consumer: spec.durable, messages: fit.length }, "handler failed");
      for (const delivery of fit) verdicts.set(delivery, { kind: "retry", retry: "infrastructure", why: String(err) });
    }
    await Promise.all(
      deliveries.map((delivery, index) => settle(delivery, batch[index]!, verdicts.get(delivery)!, started)),
    );
  };

  const settle = async (delivery: Delivery, message: JsMsg, verdict: Verdict, started: number) => {
    try {
      const plan = settlement(verdict, delivery, (problem) => hooks.deadLetter(delivery, problem));
      for (const outgoing of plan.emit) await bus.store(outgoing);
      if ("ack" in plan.action) message.ack();
      else message.nak(plan.action.nak_ms);
      hooks.settled?.(delivery, plan.outcome, performance.now() - started);
    } catch (err) {
      // Not known to be stored: leave it to be delivered again; compare-and-set makes the repeat harmless.
      bus.log.warn(
        { err, subject: delivery.subject, sequence: delivery.sequence },
        "not settled; will be delivered again",
      );
      if (!bus.nc.isClosed()) message.nak(retryDelay("infrastructure", delivery.attempt) ?? 15_000);
    }
  };

  // Each pull asks for what fits into the queue and is emptied at once, so that stopping finds every message it was
  // given in the queue, and can give it back. (The client's endless `consume` keeps messages where stopping loses them.)
  const read = async () => {
    let consumer: Consumer | undefined;
    while (!stopping) {
      try {
        consumer ??= await bus.js.consumers.get(spec.stream, spec.durable);
        if (stopping) break;
        pull = await consumer.fetch({ max_messages: queueMax - queue.length, expires: PULL_EXPIRES_MS });
        for await (const message of pull) {
          inFlight.add(message);
          queue.push(message);
          healthy = true;
          if (active < spec.concurrency) schedule();
        }
        healthy = true;
      } catch (err) {
        if (stopping) break;
        healthy = false;
        consumer = undefined;
        bus.log.warn({ err, consumer: spec.durable }, "pull ended; starting it again");
        await wait(RESTART_WAIT_MS);
        await ensureConsumer(bus, spec).catch((cause: unknown) =>
          bus.log.warn({ err: cause, consumer: spec.durable }, "consumer cannot be reached"),
        );
      }
      while (queue.length > spec.batch_max && !stopping) await new Promise<void>((resolve) => (wake = resolve));
    }
  };

  /** Not begun: goes back at once, for another replica. */
  const giveBack = () => {
    for (const message of queue.splice(0)) {
      inFlight.delete(message);
      message.nak();
    }
  };

  const heartbeat = setInterval(() => {
    for (const message of inFlight) message.working();
  }, CONSUMER_DEFAULTS.ack_wait_ms / 3);
  const reading = read();

  return {
    get inFlight() {
      return inFlight.size;
    },
    get healthy() {
      return healthy && bus.connected;
    },
    async [Symbol.asyncDispose]() {
      stopping = true;
      // Ending a pull drops what the server has sent and we have not read, which then waits for its ack wait: read on
      // until the server has answered a ping.
      if (bus.connected) await Promise.race([bus.nc.flush().catch(() => {}), wait(STOP_FLUSH_MS)]);
      pull?.stop();
      wake();
      await reading;
      giveBack();
      while (active > 0) await new Promise<void>((resolve) => (wake = resolve));
      clearInterval(heartbeat);
    },
  };
}

/**
 * Creates the durable consumer, or brings an existing one to these settings. Where it began stays as it was: that is
 * past, and cannot be changed.
 */
async function ensureConsumer(bus: Bus, spec: ConsumerSpec): Promise<void> {
  const changeable = {
    ack_wait: nanos(CONSUMER_DEFAULTS.ack_wait_ms),
    max_deliver: -1,
    max_ack_pending: spec.ack_pending_max ?? 10_000,
    ...(spec.filter === undefined ? {} : { filter_subject: spec.filter }),
    ...(spec.headers_only ? { headers_only: true } : {}),
  };
  try {
    await bus.jsm.consumers.add(spec.stream, {
      ...changeable,
      name: spec.durable,
      durable_name: spec.durable,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: spec.begin === "new" ? DeliverPolicy.New : DeliverPolicy.All,
      replay_policy: ReplayPolicy.Instant,
    });
  } catch (cause) {
    // Creating again with the same settings is no error; with others, the server wants it said that this is a change.
    if ((cause as { api_error?: { err_code?: number } }).api_error?.err_code !== CONSUMER_EXISTS) throw cause;
    await bus.jsm.consumers.update(spec.stream, spec.durable, changeable);
  }
}

const CONSUMER_EXISTS = 10148;

function toDelivery(message: JsMsg): Delivery {
  const { streamSequence, deliveryCount, timestampNanos, stream } = message.info;
  const header = headerReader(message.headers);
  const length = header(HEADER_LENGTH);
  return {
    subject: message.subject,
    body: message.data,
    ...(length ? { headerLength: Number(length) } : {}),
    header,
    stream,
    sequence: streamSequence,
    attempt: deliveryCount,
    stored_at: new Date(timestampNanos / 1e6),
  };
}

/** Found before the message is parsed: something about it may be what kills the process. */
function tooOften({ attempt }: Delivery, deliveries_max: number): Verdict | undefined {
  if (attempt <= deliveries_max) return undefined;
  const detail = `delivered ${attempt} times, more than ${deliveries_max}, without an outcome`;
  return { kind: "reject", problem: problem("poison-message", detail).problem };
}
