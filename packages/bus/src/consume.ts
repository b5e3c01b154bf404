import { CONSUMER_DEFAULTS, type Problem, problem, retryDelay } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import type { Delivery, Taken } from "./delivery.ts";
import { Holds } from "./holds.ts";
import type { Outgoing } from "./outgoing.ts";
import { type Settlement, settlement } from "./settlement.ts";
import { type Budget, Source, type SourceSpec } from "./source.ts";
import { storeOnce } from "./store-once.ts";
import { type Share, Turns } from "./turns.ts";
import { retry, type Verdict } from "./verdict.ts";
import { wait } from "./wait.ts";

export type { Delivery } from "./delivery.ts";

/** How what was pulled is worked on. */
export type WorkSpec = {
  /** Messages given to the handler in one call. A lone message goes at once; batches form by load. */
  batch_max: number;
  /** Handler calls under way at once. 1 keeps the stream's order. */
  concurrency: number;
  /**
   * So many messages must wait for a call to go beside those under way; fewer wait for one of them to end, and go together.
   * For work that runs one after the other anyway: small calls beside each other would only cost more. @default 1
   */
  beside_min?: number;
  /**
   * So many messages, about, may wait for what they led to to be stored after their handler call has ended and made
   * room for the next. @default 0, a call is not over before its messages are settled
   */
  settling_max?: number;
  /**
   * Deliveries after which a message is taken for poison and dead-lettered unseen. Infinity where the message itself
   * cannot hurt, and a stop or a crash while its receiver is away must not count against it.
   */
  deliveries_max?: number;
  /**
   * Delivered more often than this, a message may be what kills the process: it is given to the handler with nothing
   * else under way, so that only it is there when the process dies, and those that just happened to be near live on.
   * Default never: a nak with a delay counts as a delivery, too.
   */
  suspect_after?: number;
  /** How long the messages of a killed process wait. @default CONSUMER_DEFAULTS.ack_wait_ms */
  ack_wait_ms?: number;
};

/** One durable, and how much of it this process takes at once. */
export type ConsumerSpec = SourceSpec & WorkSpec;

/** A running consumption. Disposing it stops pulling, waits for the handlers under way, and settles what they gave. */
export type Consumption = AsyncDisposable & {
  /** Deliveries taken and not settled yet. */
  readonly inFlight: number;
  /** Of those, the ones that wait because something is down: the store, or what the handler needs. */
  readonly held: number;
  /** Whether the last pull of each source worked. */
  readonly healthy: boolean;
};

/** A consumption whose sources come while it runs. */
export type SharedConsumption = Consumption & {
  /**
   * Takes turns with the other sources from here on.
   * @param cost work that a message makes, in the unit that is shared; default 1 each
   */
  add(source: SourceSpec, share: Share, cost?: (delivery: Delivery) => number): Promise<void>;
};

export type Handle = (deliveries: readonly Delivery[]) => Promise<readonly Verdict[]>;

export type ConsumeHooks = {
  /** Builds the dead letter of a reject; none when the stream needs none. */
  deadLetter: (delivery: Delivery, problem: Problem) => Outgoing | undefined;
  /** Called once per settled delivery, for metrics. */
  settled?: (delivery: Delivery, outcome: string, duration_ms: number) => void;
};

/** A busy machine may take seconds for an answer; a broker that is away is noticed by the connection. */
const STOP_FLUSH_MS = 5_000;
/** What all queues of a consumption hold together, beside what is under way. */
const QUEUED_BYTES_MAX = 64 * 1024 * 1024;
/**
 * What was in the hands of a process that died comes back about together; what it took later, as much later. Waited for
 * longer in one life and less long in another, or what is always taken just after the guilty one would always come too late.
 */
const SUSPECTS_GATHER_MS = { min: 400, max: 1_200 } as const;

/** Consumes one durable. */
export async function consume(bus: Bus, spec: ConsumerSpec, handle: Handle, hooks: ConsumeHooks): Promise<Consumption> {
  const consumption = consumeShared(bus, spec, handle, hooks);
  await consumption.add(spec, { class: "", classWeight: 1, weight: 1 });
  return consumption;
}

/**
 * Pulls from many sources, hands over in batches that are filled by turns, and settles by the handler's verdicts (one
 * per delivery, in order).
 *
 * Our own trouble costs a message nothing: when the handler says `retry("infrastructure")` or throws, or a verdict
 * cannot be stored, the delivery is held here and tried again by the retry table, for as long as the process lives; of a
 * verdict that is known only the storing is repeated. Held deliveries keep their place among `concurrency` or
 * `settling_max`, so that pulling stops by itself while something is down.
 */
export function consumeShared(bus: Bus, spec: WorkSpec, handle: Handle, hooks: ConsumeHooks): SharedConsumption {
  type Lane = { source: Source; cost: (delivery: Delivery) => number };
  const lanes = new Map<Source, Lane>();
  const turns = new Turns<Source>();
  const holds = new Holds();
  const budget: Budget = { used_bytes: 0, max_bytes: QUEUED_BYTES_MAX };
  const { deliveries_max, ack_wait_ms, settling_max = 0, beside_min = 1 } = { ...CONSUMER_DEFAULTS, ...spec };
  const isSuspect = ({ deliveries }: Delivery) => deliveries > (spec.suspect_after ?? Number.POSITIVE_INFINITY);
  let active = 0;
  /** Of calls that have ended. */
  let settling = 0;
  let suspected = false;
  let suspects: "none seen" | "gathering" | "gathered" = "none seen";
  let held = 0;
  let stopping = false;
  let scheduled = false;
  let idle = () => {};

  const pump = () => {
    scheduled = false;
    while (hasPlace() && settling <= settling_max && !suspected && !stopping) {
      const batch = takeBatch();
      if (batch.length === 0) break;
      active++;
      suspected = isSuspect(batch[0]!.taken);
      void work(batch);
    }
  };
  const hasPlace = () => active < spec.concurrency && (active === 0 || queued() >= beside_min);
  const queued = () => {
    let messages = 0;
    for (const { queue } of lanes.keys()) messages += queue.length;
    return messages;
  };
  const work = async (batch: readonly Item[]) => {
    const stored = await run(batch);
    const makesRoom = settling_max > 0 && !suspected;
    if (makesRoom) {
      active--;
      settling += stored.length;
      pump();
    }
    await Promise.all(stored);
    if (makesRoom) settling -= stored.length;
    else active--;
    suspected = false; // it was alone
    pump();
    if (active + settling === 0) idle();
  };
  // One turn of the event loop lets everything that arrived in the same read join the batch.
  const schedule = () => {
    if (scheduled || active >= spec.concurrency) return;
    scheduled = true;
    setImmediate(pump);
  };

  const takeBatch = (): Item[] => {
    const batch: Item[] = [];
    while (batch.length < spec.batch_max) {
      const source = turns.next();
      const first = source?.queue[0];
      if (!source || !first) break;
      const alone = isSuspect(first);
      if (alone && (batch.length > 0 || active + settling > 0 || !areGathered())) break;
      source.take();
      turns.charge(source, lanes.get(source)!.cost(first));
      if (source.queue.length === 0) turns.leave(source);
      batch.push({ taken: first, source, started: performance.now() });
      if (alone) break;
    }
    return batch;
  };

  // Tried at once, the suspect that came first would come first in every life of the process, and those that came back
  // a moment after it would be counted out without ever having been tried.
  const areGathered = (): boolean => {
    if (suspects === "none seen") {
      suspects = "gathering";
      const { min, max } = SUSPECTS_GATHER_MS;
      void holds.wait(min + Math.random() * (max - min)).then(() => {
        suspects = "gathered";
        pump();
      });
    }
    return suspects === "gathered";
  };

  /** Until every item of the batch has its verdict, or is given back because the consumption stops; answers what is being stored. */
  const run = async (batch: readonly Item[]): Promise<readonly Promise<void>[]> => {
    const storing: Promise<void>[] = [];
    let waiting: readonly Item[] = batch.filter((item) => {
      const poison = tooOften(item.taken, deliveries_max);
      if (poison) storing.push(settle(item, poison));
      return !poison;
    });
    for (let tries = 1; waiting.length > 0; tries++) {
      const verdicts = await decide(waiting);
      let delay_ms = 0;
      let why = "";
      const again = waiting.filter((item, index) => {
        const verdict = verdicts[index]!;
        if (verdict.kind !== "retry" || verdict.retry !== "infrastructure") {
          if (!isSettled(item, verdict)) storing.push(settle(item, verdict));
          return false;
        }
        const { action } = settlement(verdict, { attempt: item.taken.attempt, tries }, () => undefined);
        if (action.kind === "hold") delay_ms = Math.max(delay_ms, action.delay_ms);
        why = verdict.why;
        return true;
      });
      if (again.length > 0) {
        bus.log.warn({ messages: again.length, why, tries, delay_ms }, "held; will be tried again");
        if (!(await hold(again.length, delay_ms))) {
          for (const { source, taken } of again) source.giveBack(taken);
          break;
        }
      }
      waiting = again;
    }
    return storing;
  };

  /**
   * The handler's verdicts. One that throws has a bug or met trouble it did not expect: the batch is split, so that what
   * made it throw stands alone and the others get their verdicts.
   */
  const decide = async (items: readonly Item[]): Promise<readonly Verdict[]> => {
    try {
      const verdicts = await handle(items.map(({ taken }) => taken));
      if (verdicts.length === items.length) return verdicts;
      throw new Error(`the handler gave ${verdicts.length} verdicts for ${items.length} deliveries`);
    } catch (err) {
      const { subject, sequence } = items[0]!.taken;
      bus.log.error({ err, subject, sequence, messages: items.length }, "handler failed");
      if (items.length === 1 || stopping) return items.map(() => retry("infrastructure", String(err)));
      const middle = items.length >> 1;
      return [...(await decide(items.slice(0, middle))), ...(await decide(items.slice(middle)))];
    }
  };

  /** Settles at once what leaves nothing to store: there are thousands a second of it, and no promise is made for them. */
  const isSettled = (item: Item, verdict: Verdict): boolean => {
    if (verdict.kind !== "done" || verdict.emit.length > 0 || bus.nc.isClosed()) return false;
    conclude(item, { action: { kind: "ack" }, outcome: "done" });
    return true;
  };

  const conclude = ({ taken, source, started }: Item, { action, outcome }: Omit<Settlement, "emit">): void => {
    if (action.kind === "ack") source.ack(taken);
    else source.putOff(taken, action.delay_ms);
    hooks.settled?.(taken, outcome, performance.now() - started);
  };

  const settle = async (item: Item, verdict: Verdict): Promise<void> => {
    const { taken, source } = item;
    for (let tries = 1; ; tries++) {
      try {
        const plan = settlement(verdict, { attempt: taken.attempt, tries }, (why) => hooks.deadLetter(taken, why));
        for (const outgoing of plan.emit) await storeOnce(bus, outgoing);
        conclude(item, plan);
        return;
      } catch (err) {
        // Not known to be stored. Storing it again is safe: compare-and-set refuses the second.
        const { subject, sequence } = taken;
        const delay_ms = retryDelay("infrastructure", tries) ?? 0;
        bus.log.warn({ err, subject, sequence, tries, delay_ms }, "not settled; held, and will be tried again");
        if (!(await hold(1, delay_ms))) return source.giveBack(taken);
      }
    }
  };

  /** False when the consumption stopped meanwhile. */
  const hold = async (messages: number, delay_ms: number): Promise<boolean> => {
    held += messages;
    const over = await holds.wait(delay_ms);
    held -= messages;
    return over;
  };

  const heartbeat = setInterval(() => {
    for (const source of lanes.keys()) source.heartbeat();
  }, ack_wait_ms / 3);

  return {
    get inFlight() {
      let open = 0;
      for (const source of lanes.keys()) open += source.open;
      return open;
    },
    get held() {
      return held;
    },
    get healthy() {
      return bus.connected && [...lanes.keys()].every((source) => source.healthy);
    },
    async add(of, share, cost = () => 1) {
      const arrived = (source: Source) => {
        if (!lanes.has(source)) return; // its first messages wait until it is known, below
        turns.enter(source);
        schedule();
      };
      const queue_max = spec.batch_max * 2;
      const source = await Source.open(bus, of, { queue_max, budget, ack_wait_ms, isSuspect, arrived });
      if (stopping) return await source.stop();
      lanes.set(source, { source, cost });
      turns.add(source, share);
      if (source.queue.length > 0) arrived(source);
    },
    async [Symbol.asyncDispose]() {
      stopping = true;
      for (const source of lanes.keys()) source.end();
      // Ending a pull drops what the server has sent and we have not read, which then waits for its ack wait: the pulls
      // are drained, and read on until the server has answered a ping.
      if (bus.connected) await Promise.race([bus.nc.flush().catch(() => {}), wait(STOP_FLUSH_MS)]);
      await Promise.all([...lanes.keys()].map((source) => source.stop()));
      holds.end();
      if (active + settling > 0) await new Promise<void>((resolve) => (idle = resolve));
      clearInterval(heartbeat);
    },
  };
}

/** A delivery under way. */
type Item = { taken: Taken; source: Source; started: number };

/** Found before the message is parsed: something about it may be what kills the process. */
function tooOften({ deliveries }: Delivery, deliveries_max: number): Verdict | undefined {
  if (deliveries <= deliveries_max) return undefined;
  const detail = `delivered ${deliveries} times, more than ${deliveries_max}, without an outcome`;
  return { kind: "reject", problem: problem("poison-message", detail).problem };
}
