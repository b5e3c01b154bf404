import { CONSUMER_METADATA } from "@millrace/contracts";
import {
  AckPolicy,
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
  nanos,
  ReplayPolicy,
  type Subscription,
} from "nats";
import type { Bus } from "./bus.ts";
import { Taken } from "./delivery.ts";
import { wait } from "./wait.ts";

/** A durable pull consumer with explicit acks. */
export type SourceSpec = {
  stream: string;
  durable: string;
  /** Subjects it sees; absent = all of the stream. */
  filter?: string;
  /** Where the durable starts when it is first made: with all that is retained, or with what comes. Default all. */
  begin?: "all" | "new";
  /** Deliver no bodies, only headers. */
  headers_only?: boolean;
  /** Server-side bound on unacknowledged messages of all replicas together. */
  ack_pending_max?: number;
  /**
   * Whether each message that it acknowledges leaves a delivery event, or some do. The consumer's metadata says so, for
   * who checks the books.
   */
  records?: "each" | "some";
  /**
   * For one process at a time: at the start, and after each interruption, the durable goes back behind the last message
   * before which all are acknowledged, so that what was under way comes again before anything that follows it.
   */
  in_order?: boolean;
};

/** Bytes that the queues of one consumption hold together, and the most they should. */
export type Budget = { used_bytes: number; readonly max_bytes: number };

export type SourceOptions = {
  /** Messages that may wait in the queue. */
  queue_max: number;
  budget: Budget;
  /** Time without an ack or a heartbeat after which the server delivers a message again. */
  ack_wait_ms: number;
  /** Whether the message may be what kills the process that handles it. */
  isSuspect: (taken: Taken) => boolean;
  /** Something waits in the queue. */
  arrived: (source: Source) => void;
};

const RESTART_WAIT_MS = 500;
/** How long an idle pull stays open; a server that is silent for longer than half of it is taken for gone. */
const PULL_EXPIRES_MS = 10_000;
/** Asked for at first and after a pull to which nothing came. An idle source holds no more than this. */
const PULL_FIRST = 8;
/** Failures that are remembered: as many as may be unacknowledged. */
const FAILURES_MAX = 10_000;

/**
 * Pulls from one durable into a bounded queue. Survives lost connections, server restarts and a deleted consumer.
 *
 * Each pull asks for what fits into the queue and is emptied at once, so that stopping finds every message it was given
 * in the queue, and can give it back. (The client's endless `consume` keeps messages where stopping loses them.) While
 * pulls come back full, the next asks for twice as many, up to the queue's bound and the budget in bytes, by the size of
 * what came before: many quiet sources hold little, a busy one is never waited for.
 */
export class Source {
  readonly spec: SourceSpec;
  readonly queue: Taken[] = [];
  readonly #bus: Bus;
  readonly #options: SourceOptions;
  /** By sequence: taken and not settled, in the queue or under way. */
  readonly #open = new Map<number, Taken>();
  readonly #failures = new Map<number, number>();
  #ask = PULL_FIRST;
  #typical_bytes = 0;
  #stopping = false;
  #healthy = true;
  #pull: ConsumerMessages | undefined;
  #wake = () => {};
  readonly #reading: Promise<void>;

  /** @throws NatsError when the consumer can be neither made nor brought to these settings */
  static async open(bus: Bus, spec: SourceSpec, options: SourceOptions): Promise<Source> {
    await ensureConsumer(bus, spec, options.ack_wait_ms);
    if (spec.in_order) await rewind(bus, spec);
    return new Source(bus, spec, options);
  }

  private constructor(bus: Bus, spec: SourceSpec, options: SourceOptions) {
    this.#bus = bus;
    this.spec = spec;
    this.#options = options;
    this.#reading = this.#read();
  }

  /** Messages taken and not settled. */
  get open(): number {
    return this.#open.size;
  }

  /** Whether the last pull worked. */
  get healthy(): boolean {
    return this.#healthy;
  }

  /** The next message of the queue. */
  take(): Taken | undefined {
    const taken = this.queue.shift();
    if (taken === undefined) return undefined;
    this.#options.budget.used_bytes -= sizeOf(taken.message);
    this.#wake();
    return taken;
  }

  ack(taken: Taken): void {
    this.#failures.delete(taken.sequence);
    this.#open.delete(taken.sequence);
    taken.message.ack();
  }

  /** Its receiver failed: the server delivers it again after the delay. */
  putOff(taken: Taken, delay_ms: number): void {
    // A message that another replica takes next leaves its entry behind; the oldest goes first.
    if (this.#failures.size >= FAILURES_MAX) this.#failures.delete(this.#failures.keys().next().value!);
    this.#failures.set(taken.sequence, taken.attempt);
    this.#open.delete(taken.sequence);
    taken.message.nak(delay_ms);
  }

  /** Not settled: goes back at once, for another replica. */
  giveBack(taken: Taken): void {
    this.#open.delete(taken.sequence);
    if (!this.#bus.nc.isClosed()) taken.message.nak();
  }

  /** Tells the server that what is here is being worked on. */
  heartbeat(): void {
    for (const { message } of this.#open.values()) message.working();
  }

  /** No further pull; what the one under way has brought, or is bringing, still goes into the queue. */
  end(): void {
    this.#stopping = true;
    drain(this.#pull);
    this.#wake();
  }

  /** Stops pulling and gives back what waits. */
  async stop(): Promise<void> {
    this.end();
    this.#pull?.stop();
    await this.#reading;
    for (let taken = this.take(); taken; taken = this.take()) this.giveBack(taken);
  }

  async #read(): Promise<void> {
    const bus = this.#bus;
    const { stream, durable } = this.spec;
    let consumer: Consumer | undefined;
    while (!this.#stopping) {
      try {
        consumer ??= await bus.js.consumers.get(stream, durable);
        if (this.#stopping) break;
        const max_messages = this.#room();
        this.#pull = await consumer.fetch({ max_messages, expires: PULL_EXPIRES_MS });
        if (this.#stopping) drain(this.#pull);
        let came = 0;
        for await (const message of this.#pull) {
          came++;
          this.#healthy = true;
          this.#arrive(message);
        }
        this.#healthy = true;
        if (came === 0) this.#ask = PULL_FIRST;
        else if (came >= this.#ask) this.#ask = Math.min(this.#ask * 2, this.#options.queue_max);
      } catch (err) {
        if (this.#stopping) break;
        this.#healthy = false;
        consumer = undefined;
        bus.log.warn({ err, consumer: durable }, "pull ended; starting it again");
        await wait(RESTART_WAIT_MS);
        // Nothing is pulled before it could go back: what was lost on its way would be overtaken.
        while (!this.#stopping && !(await this.#prepare())) await wait(RESTART_WAIT_MS);
      }
      while (!this.#stopping && !this.#wantsMore()) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async #prepare(): Promise<boolean> {
    try {
      await ensureConsumer(this.#bus, this.spec, this.#options.ack_wait_ms);
      if (this.spec.in_order) await rewind(this.#bus, this.spec);
      return true;
    } catch (err) {
      this.#bus.log.warn({ err, consumer: this.spec.durable }, "consumer cannot be reached");
      return !this.spec.in_order;
    }
  }

  #arrive(message: JsMsg): void {
    const sequence = message.info.streamSequence;
    const known = this.#open.get(sequence);
    if (known) {
      known.message = message; // the last delivery's ack is the one that counts for sure
      return;
    }
    const bytes = sizeOf(message);
    this.#typical_bytes = Math.max(bytes, this.#typical_bytes * 0.99);
    this.#options.budget.used_bytes += bytes;
    const taken = new Taken(message, this.#failures.get(sequence) ?? 0);
    this.#open.set(sequence, taken);
    // Of several suspects one is guilty: in any order, by and by the others come before it.
    if (this.#options.isSuspect(taken)) this.queue.splice(Math.random() * (this.queue.length + 1), 0, taken);
    else this.queue.push(taken);
    this.#options.arrived(this);
  }

  /** A queue that is half empty is filled again; an empty one also when others have used up the budget. */
  #wantsMore(): boolean {
    const { queue_max, budget } = this.#options;
    if (this.queue.length === 0) return true;
    return this.queue.length <= queue_max / 2 && budget.used_bytes < budget.max_bytes;
  }

  #room(): number {
    const { queue_max, budget } = this.#options;
    const affordable = Math.floor((budget.max_bytes - budget.used_bytes) / this.#typical_bytes);
    return Math.max(1, Math.min(this.#ask, queue_max - this.queue.length, affordable));
  }
}

/**
 * Ends a pull without losing what is on its way: the subscription is given up at the server and read to its end here. What
 * the server sends after that reaches nobody, which it notices, and delivers again at once; what came before it was told
 * would wait for its ack wait if the client stopped reading. The client foresees it, and has no name for it.
 */
function drain(pull: ConsumerMessages | undefined): void {
  const { sub } = (pull ?? {}) as { sub?: Subscription };
  if (sub && !sub.isClosed() && !sub.isDraining()) sub.drain().catch(() => {}); // the connection is gone, and all of it comes again
}

/** Headers, and the objects made of a message. */
const OVERHEAD_BYTES = 2048;
const sizeOf = (message: JsMsg): number => message.data.byteLength + OVERHEAD_BYTES;

/**
 * Creates the durable consumer, or brings an existing one to these settings. Where it began stays as it was: that is
 * past, and cannot be changed.
 */
async function ensureConsumer(bus: Bus, spec: SourceSpec, ack_wait_ms: number): Promise<void> {
  const changeable = {
    ack_wait: nanos(ack_wait_ms),
    max_deliver: -1,
    max_ack_pending: spec.ack_pending_max ?? 10_000,
    ...(spec.filter === undefined ? {} : { filter_subject: spec.filter }),
    ...(spec.headers_only ? { headers_only: true } : {}),
    ...(spec.records === undefined ? {} : { metadata: await metadataOf(bus, spec, spec.records) }),
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

/** The server's own reset (since 2.14), which the client does not have yet. @throws when it was not done */
async function rewind(bus: Bus, { stream, durable }: SourceSpec): Promise<void> {
  const answer = await bus.nc.request(`$JS.API.CONSUMER.RESET.${stream}.${durable}`, "", { timeout: 5_000 });
  const { error } = answer.json<{ error?: { description: string } }>();
  if (error) throw new Error(`${durable} cannot go back: ${error.description}`);
}

/** What it records and since when; a change of that, or of the filter, begins anew. */
async function metadataOf(
  bus: Bus,
  { stream, durable, filter }: SourceSpec,
  records: "each" | "some",
): Promise<Record<string, string>> {
  const { effect, since } = CONSUMER_METADATA;
  const known = await bus.jsm.consumers.info(stream, durable).catch(() => undefined);
  const { metadata, filter_subject } = known?.config ?? {};
  const goesOn = metadata?.[effect] === records && filter_subject === filter;
  const begins = new Date(Date.now() + CLOCKS_MS).toISOString();
  return { [effect]: records, [since]: (goesOn && metadata[since]) || begins };
}

/** The server's clock and ours may differ by this much. */
const CLOCKS_MS = 5_000;
