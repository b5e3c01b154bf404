import process from "node:process";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A terminal's Ctrl-C reaches us directly and again through npm; that is one request, not two. */
const SAME_REQUEST_MS = 700;
const PARENT_CHECK_MS = 1_000;

/** Why and whether to stop. */
export type StopRequests = Disposable & {
  readonly signal: AbortSignal;
};

/**
 * The first signal asks for an orderly stop; a second one ends the process at once (its children follow, see Reaper).
 * When the set-up script that started us is gone without a word, that is a request too.
 */
export function stopRequests(onRequest: (why: string) => void): StopRequests {
  const controller = new AbortController();
  let asked_at: number | undefined;
  const ask = (why: string) => {
    const now = performance.now();
    if (asked_at === undefined) {
      asked_at = now;
      onRequest(why);
      controller.abort(new Error(why));
    } else if (now - asked_at > SAME_REQUEST_MS) {
      process.exit(130);
    }
  };
  for (const signal of SIGNALS) process.on(signal, ask);

  const wrapper = process.env.MILLRACE_WRAPPER_PID;
  const watch = setInterval(() => {
    if (wrapper !== undefined && String(process.ppid) !== wrapper && asked_at === undefined)
      ask("The terminal is gone");
  }, PARENT_CHECK_MS);
  watch.unref();

  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearInterval(watch);
      for (const signal of SIGNALS) process.off(signal, ask);
    },
  };
}
