/**
 * Timers and clocks that a simulated world gives to the code that runs in it. Done by hand rather than by a library of
 * fake timers, because each timer must belong to the process that set it: it dies with that process.
 */
export type Clock = {
  /** What `performance.now()` answers. */
  monotonic(): number;
  /** What `Date.now()` answers. */
  wall(): number;
  /** What `Math.random()` answers. */
  random(): number;
  after(ms: number, act: () => void): { cancel(): void };
};

const real = {
  Date: globalThis.Date,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  random: Math.random,
  performanceNow: performance.now,
};

/** Resolves when every promise that can settle by itself has done so. */
export const turnOfTheRealLoop = (): Promise<void> => new Promise((resolve) => real.setImmediate(resolve));

/** Puts the clock in place of the real ones; what it answers puts them back. One at a time. */
export function installClock(clock: Clock): () => void {
  if (globalThis.Date !== real.Date) throw new Error("a simulated world is already turning: await it first");

  const once = (act: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
    new Timer(clock.after(ms, () => act(...args)));
  const again = (act: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    const timer = new Timer({ cancel: () => {} });
    const arm = () => {
      timer.scheduled = clock.after(ms, () => {
        arm();
        act(...args);
      });
    };
    arm();
    return timer;
  };
  const clear = (timer: unknown) => {
    if (timer instanceof Timer) timer.close();
  };
  // Not at once, and not always equally late: whoever counts on one turn of the loop is found out.
  const soon = (act: (...args: unknown[]) => void, ...args: unknown[]) => once(act, clock.random(), ...args);

  class VirtualDate extends real.Date {
    constructor(...args: unknown[]) {
      super(...((args.length === 0 ? [clock.wall()] : args) as [number]));
    }
    static override now() {
      return clock.wall();
    }
  }

  Object.assign(globalThis, {
    Date: VirtualDate,
    setTimeout: once,
    clearTimeout: clear,
    setInterval: again,
    clearInterval: clear,
    setImmediate: soon,
    clearImmediate: clear,
  });
  Math.random = () => clock.random();
  performance.now = () => clock.monotonic();

  return () => {
    const { random, performanceNow, ...globals } = real;
    Object.assign(globalThis, globals);
    Math.random = random;
    performance.now = performanceNow;
  };
}

/** What `setTimeout` and its kin answer here; nothing keeps a process alive, so `ref` and `unref` do nothing. */
class Timer {
  scheduled: { cancel(): void };
  constructor(scheduled: { cancel(): void }) {
    this.scheduled = scheduled;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
  close(): void {
    this.scheduled.cancel();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
