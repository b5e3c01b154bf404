import { setTimeout as sleep } from "node:timers/promises";
import type { Submission } from "@millrace/contracts";
import type { HttpClient, Submit } from "./client.ts";

const TRIES = 300;
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
      const submission = await submitOne(client, request, signal);
      if (submission !== undefined) accepted[index] = submission;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return accepted.filter((submission) => submission !== undefined);
}

async function submitOne(client: HttpClient, request: Submit, signal?: AbortSignal): Promise<Submission | undefined> {
  let last: unknown;
  for (let attempt = 0; attempt < TRIES && !signal?.aborted; attempt++) {
    try {
      const { status, body } = await client.trySubmit(request);
      if (status === 202 || status === 200) return body as Submission;
      last = new Error(`answered ${status}: ${JSON.stringify(body).slice(0, 300)}`);
      if (status < 500 && status !== 429) break;
    } catch (cause) {
      last = cause;
    }
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
  if (signal?.aborted) return undefined;
  throw new Error(`${request.key} was not accepted: ${(last as Error).message}`, { cause: last });
}
