import { setTimeout as sleep } from "node:timers/promises";
import type { Logger, Scope } from "@millrace/kit";

/** Passes that fail one after the other before the keeper says that it cannot do its work. */
const FAILURES_MAX = 3;

/**
 * Does a piece of work again and again, with a pause in between, until the service stops. A pass that fails is logged
 * and the next one comes: all of them go on from what the streams say. A long pass is followed by a pause of its own
 * length, so that it takes at most half of the time.
 * @param first_after_ms how long the first pass waits, when others have to be up for it
 */
export function every(
  name: string,
  pause_ms: number,
  scope: Pick<Scope, "signal" | "health"> & { log: Logger },
  pass: () => Promise<void>,
  first_after_ms = 0,
): AsyncDisposable {
  const { signal, log, health } = scope;
  let failures = 0;
  let why = "";
  health.check(name, () => (failures >= FAILURES_MAX ? { ok: false, detail: why } : { ok: true }));
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  const running = (async () => {
    if (first_after_ms > 0) await pause(first_after_ms);
    while (!signal.aborted) {
      const started = performance.now();
      try {
        await pass();
        failures = 0;
        log.debug({ duration_ms: Math.round(performance.now() - started) }, `${name} passed`);
      } catch (err) {
        if (signal.aborted) return;
        why = (err as Error).message;
        log[++failures >= FAILURES_MAX ? "error" : "warn"]({ err, failures }, `${name} failed; it goes on`);
      }
      await pause(Math.max(pause_ms, performance.now() - started));
    }
  })();
  return { [Symbol.asyncDispose]: () => running };
}
