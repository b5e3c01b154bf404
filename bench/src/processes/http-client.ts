/** An HTTP client of the `latency` benchmark: requests at a fixed rate, whatever the answers take. */
import { Agent, get } from "node:http";
import { serve } from "../room/worker.ts";
import { concurrently } from "./concurrently.ts";
import { post } from "./post.ts";

type Target = { url: string; headers: Readonly<Record<string, string>>; body: string; expected: number };

const SOCKETS_MAX = 512;
const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
/** How long outcomes may take to come after the last request was sent. */
const LATE_MS = 20_000;

const jobs = {
  /** So many requests at once, each followed by the next; answers how many per second were answered. */
  async saturate({ target, atOnce, ms }: { target: Target; atOnce: number; ms: number }): Promise<number> {
    const started = performance.now();
    let answered = 0;
    await concurrently(atOnce, atOnce, async () => {
      while (performance.now() - started < ms) {
        await post({ ...target, agent }, target.expected);
        answered++;
      }
    });
    return (answered / (performance.now() - started)) * 1_000;
  },

  /**
   * Requests at a steady rate; answers each one's time in ms until its answer. Time runs from when the request was due
   * and not from when it was sent, so that a stall counts for all it delayed (no coordinated omission).
   */
  async pace({ target, perSecond, ms }: { target: Target; perSecond: number; ms: number }): Promise<number[]> {
    const latencies: number[] = [];
    await paced({ perSecond, ms }, async (due) => {
      await post({ ...target, agent }, target.expected);
      latencies.push(performance.now() - due);
    });
    return latencies;
  },

  /** The same, until the outcome arrives on the project's event stream instead of in the answer. */
  async paceLive(of: { target: Target; events: string; perSecond: number; ms: number }): Promise<number[]> {
    const latencies: number[] = [];
    const arrived = new Map<string, number>();
    const due = new Map<string, number>();
    await using _stream = await follow(of.events, of.target.headers, (id) => {
      const since = due.get(id);
      // An outcome may overtake the answer that names its request.
      if (since === undefined) arrived.set(id, performance.now());
      else {
        due.delete(id);
        latencies.push(performance.now() - since);
      }
    });
    await paced(of, async (at) => {
      const { id } = JSON.parse((await post({ ...of.target, agent }, of.target.expected)).toString()) as { id: string };
      const seen = arrived.get(id);
      if (seen === undefined) due.set(id, at);
      else {
        arrived.delete(id);
        latencies.push(seen - at);
      }
    });
    const late = performance.now() + LATE_MS;
    while (due.size > 0 && performance.now() < late) await new Promise((resolve) => setTimeout(resolve, 5));
    if (due.size > 0) throw new Error(`${due.size} outcomes did not come on the event stream within ${LATE_MS} ms`);
    return latencies;
  },
};
export type HttpClientJobs = typeof jobs;

serve(jobs, async () => agent.destroy());

/** Calls `send` when each request is due, and waits for all of them. */
async function paced({ perSecond, ms }: { perSecond: number; ms: number }, send: (due: number) => Promise<void>) {
  const total = Math.floor((perSecond * ms) / 1_000);
  const started = performance.now();
  const dueAt = (index: number) => started + (index * 1_000) / perSecond;
  const all: Promise<void>[] = [];
  while (all.length < total) {
    const now = performance.now();
    while (all.length < total && dueAt(all.length) <= now) all.push(send(dueAt(all.length)));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(all);
}

/** Reads server-sent events and calls back with the request id of each outcome. */
async function follow(
  url: string,
  headers: Readonly<Record<string, string>>,
  onOutcome: (id: string) => void,
): Promise<AsyncDisposable> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const call = get(url, { headers: { ...headers, accept: "text/event-stream" } }, (response) => {
    if (response.statusCode !== 200) return reject(new Error(`${url} answered ${response.statusCode}`));
    let rest = "";
    response.setEncoding("utf8").on("data", (text: string) => {
      const events = (rest + text).split("\n\n");
      rest = events.pop()!;
      for (const event of events) {
        const data = /^data: ?(.*)$/m.exec(event)?.[1];
        if (data) onOutcome((JSON.parse(data) as { id: string }).id);
      }
    });
    resolve();
  });
  call.on("error", reject); // after it was resolved: the stream was ended by us
  await promise;
  return { [Symbol.asyncDispose]: async () => void call.destroy() };
}
