const TICK_MS = 50;

/**
 * Calls back after `ms` in which this process ran. A process that was stopped (a frozen container, a suspended machine)
 * or that did not get to its event loop learns late what happened meanwhile: its child stood still as well, or the answer
 * lies unread. A wall clock would then blame the run, and a good request would die; here a gap counts as one tick.
 */
export function afterRunning(ms: number, call: () => void): Disposable {
  let left_ms = ms;
  let last = performance.now();
  const timer = setInterval(
    () => {
      const now = performance.now();
      left_ms -= Math.min(now - last, 2 * TICK_MS);
      last = now;
      if (left_ms > 0) return;
      clearInterval(timer);
      call();
    },
    Math.min(TICK_MS, ms),
  );
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
