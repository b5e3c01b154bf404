import { isDeepStrictEqual } from "node:util";
import { retryDelay } from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import { pause } from "./adapters/pause.ts";

export type RunningSetOptions<Wanted, Running> = {
  /** What one is called, in the log. */
  kind: string;
  log: Logger;
  /** What should run under a name now; undefined when nothing should. */
  wanted(name: string): Wanted | undefined;
  open(wanted: Wanted): Promise<Running>;
  /** Runs when a name has nothing to run any more, and what ran is closed. */
  forget(name: string): Promise<void>;
};

/** Keeps what runs equal to what is wanted. */
export type RunningSet<Running> = AsyncDisposable & {
  get(name: string): Running | undefined;
  /** What is wanted under this name may have changed. */
  change(name: string): void;
};

/**
 * What runs, by name. Each is opened, opened anew or closed by itself, one step after the other; the others are not
 * touched. A step that fails is tried again, for as long as the set lives.
 */
export function runningSet<Wanted, Running extends AsyncDisposable>(
  options: RunningSetOptions<Wanted, Running>,
): RunningSet<Running> {
  const { kind, log } = options;
  const running = new Map<string, { wanted: Wanted; running: Running }>();
  const changing = new Map<string, Promise<void>>();
  const stopping = new AbortController();

  /** What is wanted may change meanwhile: it is looked at again after each step. */
  const bring = async (name: string): Promise<void> => {
    for (let tries = 1; ; ) {
      const wanted = stopping.signal.aborted ? undefined : options.wanted(name);
      const runs = running.get(name);
      if (runs && isDeepStrictEqual(runs.wanted, wanted)) return;
      try {
        if (runs) {
          running.delete(name);
          await runs.running[Symbol.asyncDispose]();
        } else if (wanted === undefined) {
          if (!stopping.signal.aborted) await options.forget(name);
          return;
        } else running.set(name, { wanted, running: await options.open(wanted) });
        tries = 1;
      } catch (err) {
        const delay_ms = retryDelay("infrastructure", tries++) ?? 0;
        log.warn({ err, [kind]: name, delay_ms }, `the ${kind} cannot be brought into force; trying again`);
        await pause(delay_ms, stopping.signal);
      }
    }
  };
  return {
    get: (name) => running.get(name)?.running,
    change(name) {
      if (stopping.signal.aborted || changing.has(name)) return;
      const step = bring(name).finally(() => changing.delete(name));
      changing.set(name, step);
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await Promise.all(changing.values());
      await Promise.all([...running.keys()].map(bring));
    },
  };
}
