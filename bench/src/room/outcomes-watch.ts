import { connect } from "nats";

/** Counts outcomes as they are stored. */
export type OutcomesWatch = AsyncDisposable & {
  /** Stored since it began. */
  readonly count: number;
  /** Resolves when so many have been stored since it began. @throws when one is a dead letter, or it takes too long */
  reached(count: number, within_ms?: number): Promise<void>;
};

/** @param url `nats://user:password@host:port`, as run.json gives it */
export async function watchOutcomes(url: string): Promise<OutcomesWatch> {
  const { host, username, password } = new URL(url);
  const nc = await connect({ servers: host, user: decodeURIComponent(username), pass: decodeURIComponent(password) });
  let count = 0;
  let dead: string | undefined;
  let wake = () => {};
  nc.subscribe("live.>", {
    callback: (_, message) => {
      count++;
      if (message.subject.endsWith(".dead")) dead = message.string();
      wake();
    },
  });
  await nc.flush();
  return {
    get count() {
      return count;
    },
    async reached(wanted, within_ms = 60_000) {
      const late = performance.now() + within_ms;
      const timer = setTimeout(() => wake(), within_ms);
      try {
        while (count < wanted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          if (dead !== undefined) throw new Error(`a request became a dead letter: ${dead.slice(0, 500)}`);
          if (performance.now() >= late) throw new Error(`${count} of ${wanted} outcomes after ${within_ms} ms`);
        }
      } finally {
        clearTimeout(timer);
      }
    },
    [Symbol.asyncDispose]: () => nc.drain(),
  };
}
