import { AsyncLocalStorage } from "node:async_hooks";
import { hashOf, type Random, randomOf } from "./random.ts";
import { installClock, turnOfTheRealLoop } from "./virtual-clock.ts";

/**
 * A world in which time is a queue of events, so that a run depends on nothing but its seed. Processes in it run the
 * real code: while the world turns, the timers and clocks of JavaScript are the world's (see `virtual-clock.ts`), and
 * what a timer or an answer wakes belongs to the process that asked for it.
 *
 * A process dies at one of its steps: anything it does that others could notice, or that wakes it later. From there on
 * nothing it does has an effect, and nothing it waits for comes. To everyone outside that is the same as dying between
 * any two awaits, since what happens between two steps of a process cannot be told from outside.
 */
export type World = {
  readonly seed: number;
  /** Milliseconds since the world began. */
  readonly now_ms: number;
  readonly random: (purpose: string) => Random;
  /** Runs `act` after `delay_ms`; for a process, only if it lives then, and not while it is paused. */
  schedule(delay_ms: number, act: () => void, owner?: Process): Scheduled;
  /** Starts a process. It may end by itself; what it awaits then no longer matters. */
  start(name: string, main: (self: Process) => Promise<void>, options?: ProcessOptions): Process;
  /** The process whose code is running now; undefined outside of all. */
  current(): Process | undefined;
  /** A step of the process that runs now: false when it is dead, or dies here. */
  step(): boolean;
  /** Something happened that a repetition must repeat. */
  note(what: string): void;
  /** Counts how often something came up, so that a test can say whether it does. */
  count(what: string): void;
  readonly counts: ReadonlyMap<string, number>;
  /** Turns until `until` holds; throws what a process threw. @throws when it does not hold by `limit_ms`. */
  turn(options: { until: () => boolean; limit_ms: number; stuck: () => string }): Promise<void>;
  /** Digest of all that was noted: equal for equal runs. */
  readonly trace: string;
  /** The last notes, for whoever looks at a failure. */
  readonly notes: readonly string[];
};

export type ProcessOptions = {
  /** Steps until it dies; absent = it lives. */
  fuse?: number;
  /** How far its wall clock is off. */
  clock_off_ms?: number;
  died?: (process: Process) => void;
};

export type Process = {
  readonly name: string;
  readonly alive: boolean;
  /** Set by whoever stops it in good order: what it then gives back is no failure. */
  stopping: boolean;
  /** Moves its wall clock (`Date`), as an administrator or NTP does. */
  clock_off_ms: number;
  /** Ends it here. */
  kill(): void;
  /** Lets it live for as long as nobody kills it. */
  defuse(): void;
  /** Stops it for a while: its timers and what is sent to it wait. */
  pause(ms: number): void;
};

export type Scheduled = { cancel(): void };

type Event = { at: number; order: number; act: () => void; owner: Mortal | undefined; cancelled: boolean };
type Mortal = Process & {
  alive: boolean;
  fuse: number;
  paused_until: number;
  died: ((of: Process) => void) | undefined;
  /** Runs something as this process. */
  enter: ReturnType<typeof AsyncLocalStorage.snapshot>;
};

/** Inside a world it is a Saturday in November. */
const EPOCH_MS = Date.UTC(2026, 10, 21);
const NOTES_KEPT = 400;
const EVENTS_MAX = 200_000;

/** Builds a world, lets `live` live in it, and gives the clocks back. */
export async function inWorld<T>(seed: number, live: (world: World) => Promise<T>): Promise<T> {
  const events = eventQueue();
  const context = new AsyncLocalStorage<Mortal | undefined>();
  const jitter = randomOf(seed, "jitter");
  const notes: string[] = [];
  const counts = new Map<string, number>();
  // A context is kept and entered again: to make one per event was half of a run's time.
  const outside = AsyncLocalStorage.snapshot();
  let now = 0;
  let hash = hashOf("", seed);
  let failure: { cause: unknown } | undefined;

  const schedule: World["schedule"] = (delay_ms, act, owner) => {
    const event = events.add(now + Math.max(0, delay_ms), act, owner as Mortal | undefined);
    return {
      cancel() {
        event.cancelled = true;
      },
    };
  };
  const note = (what: string) => {
    const line = `${now.toFixed(3)} ${what}`;
    hash = hashOf(line, hash);
    notes.push(line);
    if (notes.length > NOTES_KEPT * 2) notes.splice(0, NOTES_KEPT);
  };

  const world: World = {
    seed,
    get now_ms() {
      return now;
    },
    random: (purpose) => randomOf(seed, purpose),
    schedule,
    note,
    count: (what) => void counts.set(what, (counts.get(what) ?? 0) + 1),
    counts,
    current: () => context.getStore(),
    step() {
      const self = context.getStore();
      if (!self) return true;
      if (self.alive && --self.fuse <= 0) self.kill();
      return self.alive;
    },
    start(name, main, { fuse = Number.POSITIVE_INFINITY, clock_off_ms = 0, died } = {}) {
      const process: Mortal = {
        name,
        alive: true,
        stopping: false,
        clock_off_ms,
        fuse,
        paused_until: 0,
        died,
        enter: outside,
        kill() {
          if (!process.alive) return;
          note(`${name} dies`);
          world.count("death");
          process.alive = false;
          process.died?.(process);
        },
        defuse() {
          process.fuse = Number.POSITIVE_INFINITY;
        },
        pause(ms) {
          note(`${name} is paused for ${ms} ms`);
          process.paused_until = Math.max(process.paused_until, now + ms);
        },
      };
      process.enter = context.run(process, () => AsyncLocalStorage.snapshot());
      const run = () =>
        main(process).catch((cause: unknown) => {
          // Whoever is dead may stumble over what is no longer there.
          if (process.alive) failure ??= { cause };
        });
      schedule(0, run, process);
      return process;
    },
    async turn({ until, limit_ms, stuck }) {
      for (let turned = 0; !until(); ) {
        const event = events.next();
        if (!event || event.at > limit_ms) throw new Error(`after ${Math.round(now)} ms: ${stuck()}`);
        now = Math.max(now, event.at);
        const { owner } = event;
        if (owner && !owner.alive) continue;
        if (owner && owner.paused_until > now) {
          event.at = owner.paused_until;
          events.put(event);
          continue;
        }
        if (++turned > EVENTS_MAX) throw new Error(`still busy after ${turned} events: ${stuck()}`);
        (owner?.enter ?? outside)(event.act);
        await turnOfTheRealLoop();
        if (failure) throw failure.cause;
      }
    },
    get trace() {
      return hash.toString(16).padStart(8, "0");
    },
    notes,
  };

  const uninstall = installClock({
    monotonic: () => now,
    wall: () => EPOCH_MS + now + (context.getStore()?.clock_off_ms ?? 0),
    random: () => jitter.next(),
    after(ms, act) {
      const owner = context.getStore();
      return world.step() ? schedule(ms, act, owner) : { cancel: () => {} };
    },
  });
  try {
    return await live(world);
  } finally {
    uninstall();
  }
}

/** A binary heap by time; what is due at the same time comes in the order it was put in. */
function eventQueue() {
  const heap: Event[] = [];
  let order = 0;
  const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);
  const put = (event: Event) => {
    event.order = order++;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  };
  const take = (): Event | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || first === last) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  };
  return {
    put,
    add(at: number, act: () => void, owner: Mortal | undefined): Event {
      const event: Event = { at, order: 0, act, owner, cancelled: false };
      put(event);
      return event;
    },
    next(): Event | undefined {
      for (;;) {
        const event = take();
        if (!event?.cancelled) return event;
      }
    },
  };
}
