import { setTimeout as sleep } from "node:timers/promises";
import type { Submission } from "@millrace/contracts";
import type { Answer, HttpClient, Submit } from "./client.ts";

const WITHIN_MS = 30_000;
const PAUSE_MS = 100;

export type SubmitAllOptions = {
  /** Requests under way at once. */
  concurrency?: number;
  /** Stops submitting; what was accepted until then is returned. */
  signal?: AbortSignal;
};

/**
 * Submits everything, as a careful client would: each request has a key, and is sent again under the same key until
 * it is accepted. Refused connections, resets and 5xx answers are expected while processes are killed.
 * @returns the submissions that were accepted, in the order given; without a signal that is all of them
 * @throws when a request is refused for good (4xx) or not accepted in half a minute
 */
export async function submitAll(
  client: HttpClient,
  requests: Iterable<Submit & { key: string }>,
  { concurrency = 16, signal }: SubmitAllOptions = {},
): Promise<Submission[]> {
  const accepted: Submission[] = [];
  const queue = requests[Symbol.iterator]();
  let next = 0;
  const worker = async () => {
    while (!signal?.aborted) {
      const { value: request, done } = queue.next();
      if (done) return;
      const index = next++;
      const submission = await submitUntilAccepted(client, request, signal ? { signal } : {});
      if (submission !== undefined) accepted[index] = submission;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return accepted.filter((submission) => submission !== undefined);
}

/**
 * Sends one request under its key until it is accepted, and not sooner again than `Retry-After` asks.
 * @returns the submission; undefined when the signal ended the tries
 * @throws when it is refused for good (4xx), not accepted within the time (30 s), or asked to come again after it
 */
export async function submitUntilAccepted(
  client: HttpClient,
  request: Submit & { key: string },
  { signal, within_ms = WITHIN_MS }: { signal?: AbortSignal; within_ms?: number } = {},
): Promise<Submission | undefined> {
  const deadline = performance.now() + within_ms;
  let last: unknown;
  while (!signal?.aborted && performance.now() < deadline) {
    let pause_ms = PAUSE_MS;
    try {
      const answer = await client.trySubmit(request);
      const { status, body } = answer;
      if (status === 202 || status === 200) return body as Submission;
      if (status < 500 && status !== 429) {
        last = new Error(`answered ${status}: ${JSON.stringify(body).slice(0, 300)}`);
        break;
      }
      pause_ms = Math.max(PAUSE_MS, retryAfter_ms(answer));
      last = new Error(`answered ${status}, again in ${pause_ms} ms: ${JSON.stringify(body).slice(0, 300)}`);
    } catch (cause) {
      last = cause;
    }
    if (performance.now() + pause_ms > deadline) break;
    await sleep(pause_ms, undefined, { signal }).catch(() => {});
  }
  if (signal?.aborted) return undefined;
  throw new Error(`${request.key} was not accepted: ${(last as Error)?.message}`, { cause: last });
}

/** Seconds are the only form that ingest sends. */
const retryAfter_ms = ({ headers }: Answer) => (Number(headers.get("retry-after")) || 0) * 1_000;
