import { type Bus, readSettledOutcome, type StoredOutcome } from "@millrace/bus";
import type { RequestAddress } from "@millrace/contracts";
import type { OutcomeWaits } from "../domain/ports.ts";
import { openLiveOutcomes } from "./live-outcomes.ts";

/** How often a wait looks at the stream by itself: a live message may be lost, a stored one is not. */
const LOOK_MS = 5_000;
/** Looks under way at once, so that many waits after a reconnect do not flood the broker. */
const LOOKS_MAX = 32;

type Watch = {
  of: RequestAddress;
  listening: Disposable;
  waiters: Set<(outcome: StoredOutcome | undefined) => void>;
  found?: StoredOutcome;
  /** Waits that have begun and not ended; the last one ends the listening. */
  users: number;
  /** Begun, or looked at, at this time (`performance.now`). */
  looked: number;
};

/** Waits on live outcomes. Looks at the stream as well, after a reconnect and every few seconds. */
export function openOutcomeWaits(bus: Bus, options: { look_ms?: number } = {}): OutcomeWaits & Disposable {
  const look_ms = options.look_ms ?? LOOK_MS;
  const live = openLiveOutcomes(bus);
  const watches = new Map<string, Watch>();
  const queue = new Set<Watch>();
  let looks = 0;
  let closed = false;

  const settle = (watch: Watch, outcome: StoredOutcome) => {
    watch.found ??= outcome;
    for (const resolve of watch.waiters) resolve(watch.found);
  };
  const look = (watch: Watch) => {
    if (watch.found || closed) return;
    queue.add(watch);
    pump();
  };
  const pump = () => {
    for (const watch of queue) {
      if (looks >= LOOKS_MAX) return;
      queue.delete(watch);
      if (watch.found) continue;
      looks++;
      watch.looked = performance.now();
      readSettledOutcome(bus, watch.of)
        .then(
          (outcome) => outcome && settle(watch, outcome),
          (err: unknown) => bus.log.debug({ err, id: watch.of.id }, "an outcome could not be looked up; waiting on"),
        )
        .finally(() => {
          looks--;
          pump();
        });
    }
  };

  const timer = setInterval(() => {
    if (!bus.connected) return;
    const due = performance.now() - look_ms;
    for (const watch of watches.values()) if (watch.looked < due) look(watch);
  }, look_ms / 2);
  timer.unref();
  const reconnected = bus.onReconnect(() => {
    for (const watch of watches.values()) look(watch);
  });

  return {
    begin(of) {
      const key = `${of.tenant}.${of.project}.${of.model}.${of.id}`;
      // One that has its outcome may have been redriven since: who begins now waits for what comes now.
      const shared = watches.get(key);
      const watch = shared && !shared.found ? shared : watchFor(key, of);
      watch.users++;
      let disposed = false;
      return {
        outcome: ({ timeout_ms, signal }) => wait(watch, timeout_ms, signal),
        look: () => look(watch),
        [Symbol.dispose]() {
          if (disposed) return;
          disposed = true;
          if (--watch.users > 0) return;
          watch.listening[Symbol.dispose]();
          if (watches.get(key) === watch) watches.delete(key);
          queue.delete(watch);
        },
      };
    },
    [Symbol.dispose]() {
      closed = true;
      clearInterval(timer);
      reconnected[Symbol.dispose]();
      queue.clear();
      for (const watch of watches.values()) for (const resolve of watch.waiters) resolve(undefined);
    },
  };

  function watchFor(key: string, of: RequestAddress): Watch {
    const watch: Watch = {
      of,
      users: 0,
      waiters: new Set(),
      looked: performance.now(),
      listening: live.listen(of, (outcome) => settle(watch, outcome)),
    };
    watches.set(key, watch);
    return watch;
  }

  function wait(watch: Watch, timeout_ms: number, signal: AbortSignal | undefined) {
    if (watch.found || closed || signal?.aborted) return Promise.resolve(watch.found);
    return new Promise<StoredOutcome | undefined>((resolve) => {
      const end = (outcome: StoredOutcome | undefined) => {
        clearTimeout(timeout);
        signal?.removeEventListener("abort", abort);
        watch.waiters.delete(end);
        resolve(outcome);
      };
      const abort = () => end(undefined);
      const timeout = setTimeout(end, timeout_ms, undefined);
      signal?.addEventListener("abort", abort, { once: true });
      watch.waiters.add(end);
    });
  }
}
