import { setTimeout as sleep } from "node:timers/promises";
import { type HttpClient, type Submit, submitUntilAccepted } from "@millrace/testkit";

/** A request that was accepted. */
export type Accepted = {
  id: string;
  key: string;
  /** When it was asked for first, by the wall clock. */
  asked_ms: number;
};

/** A steady stream of requests from clients that do not give up. */
export type Load = {
  readonly accepted: readonly Accepted[];
  /** Requests that were not accepted in time, with why. */
  readonly refused: readonly string[];
  /** No new requests; resolves when those under way are answered. */
  stop(): Promise<void>;
};

export type LoadOptions = {
  /** Requests each second, whatever becomes of them, up to `concurrency` at once. */
  rate: number;
  concurrency?: number;
};

/** As a client with a user waiting would have it: a hung answer is not worth more. */
const TIMEOUT_MS = 5_000;
const PATIENCE_MS = 120_000;
/** One in so many requests is sent twice at once, under one key: two answers, one job. */
const TWICE = 10;

export function startLoad(
  client: HttpClient,
  requests: Iterator<Submit & { key: string }>,
  { rate, concurrency = 256 }: LoadOptions,
): Load {
  const accepted: Accepted[] = [];
  const refused: string[] = [];
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();

  const send = async (request: Submit & { key: string }) => {
    const asked_ms = Date.now();
    try {
      const submission = await submitUntilAccepted(
        client,
        { ...request, timeout_ms: TIMEOUT_MS },
        { within_ms: PATIENCE_MS },
      );
      if (submission !== undefined) accepted.push({ id: submission.id, key: request.key, asked_ms });
    } catch (error) {
      refused.push((error as Error).message);
    }
  };
  const running = (async () => {
    const began = performance.now();
    for (let number = 0; !stopping.signal.aborted; number++) {
      const due = began + (number * 1_000) / rate;
      const early_ms = due - performance.now();
      if (early_ms > 0) await sleep(early_ms, undefined, { signal: stopping.signal }).catch(() => {});
      while (underWay.size >= concurrency) await Promise.race(underWay);
      if (stopping.signal.aborted) return;
      const { value: request, done } = requests.next();
      if (done) return;
      for (let copy = 0; copy < (number % TWICE === 0 ? 2 : 1); copy++) {
        const sending = send(request).finally(() => underWay.delete(sending));
        underWay.add(sending);
      }
    }
  })();

  return {
    accepted,
    refused,
    async stop() {
      stopping.abort();
      await running;
      await Promise.all(underWay);
    },
  };
}
