import { setTimeout as sleep } from "node:timers/promises";
import type { PacedWorkerJobs } from "../processes/paced-worker.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { inferBody, MANIFEST, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { openStage, PROJECT, TENANT } from "../room/services.ts";
import { summarize } from "../room/statistics.ts";
import { startWorker } from "../room/worker.ts";

/** Times as many requests as the model can do. */
const OVERLOAD = 2;
const DEPLOYMENT = { manifest: MANIFEST, digest: `sha256:${"0".repeat(64)}` };

/**
 * A model of known speed that is asked for twice as much: whether `Retry-After` comes true, and how long those who were
 * accepted really waited.
 */
export const admission: Benchmark = {
  about: "overload: Retry-After against the wait that followed, and the waits of who was accepted",
  async run({ quick }) {
    const perSecond = 100;
    const wait_max_s = quick ? 100 : 300;
    const closures = quick ? 2 : 6;
    await using stage = await openStage();
    await stage.deploy(DEPLOYMENT);
    await using worker = await startWorker<PacedWorkerJobs>(new URL("../processes/paced-worker.ts", import.meta.url), {
      env: {
        BENCH_NATS_URL: stage.nats.url,
        BENCH_NATS_USER: "inference",
        BENCH_NATS_PASSWORD: stage.nats.passwordOf("inference"),
      },
    });
    await worker.call("work", { ...DEPLOYMENT, perSecond });
    const ingest = await stage.startIngest({ WAIT_MAX_S: String(wait_max_s) });
    const url = `${ingest.url}/v1/${TENANT}/${PROJECT}/models/${MANIFEST.name}/requests`;
    const headers = { authorization: `Bearer ${stage.token}`, "content-type": "application/json" };
    const body = inferBody(readings(1));

    const waits: Promise<number>[] = [];
    const ratios: number[] = [];
    const closed_s: number[] = [];
    const statuses = new Map<number, number>();
    let refused: { at: number; since: number; retry_after_s: number } | undefined;
    let watched = 0;

    const ask = async () => {
      const at = performance.now();
      const response = await fetch(url, { method: "POST", headers, body });
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (response.status === 202) {
        const { links } = (await response.json()) as { links: { self: string } };
        if (watched++ % SAMPLED === 0) waits.push(waitOf(ingest.url + links.self, headers, at, wait_max_s * 2_000));
        // Asked before the refusal was answered: not the one who came again.
        if (refused && at > refused.since) {
          const took_s = (performance.now() - refused.at) / 1_000;
          ratios.push(refused.retry_after_s / took_s);
          closed_s.push(took_s);
          refused = undefined;
        }
        return;
      }
      await response.body?.cancel();
      refused ??= { at, since: performance.now(), retry_after_s: Number(response.headers.get("retry-after")) };
    };
    // The queue is filled quickly, then offered twice what the model does until it has closed and opened some times.
    const late = performance.now() + (wait_max_s + closures * wait_max_s * 0.4) * 1_000;
    while (ratios.length < closures && performance.now() < late) {
      const rate = refused || ratios.length > 0 ? perSecond * OVERLOAD : FILL_PER_S;
      await Promise.all([...Array.from({ length: Math.ceil(rate / 20) }, ask), sleep(50)]);
    }
    if (ratios.length === 0) throw new Error("the queue never closed and opened again");
    const waited = await Promise.all(waits);
    return {
      rounds: ratios.length,
      figures: [
        figure("closed for", "s", summarize(closed_s)),
        figure("wait of those accepted", "s", summarize(waited)),
      ],
      ratios: [
        ratio("Retry-After / really", "of the time until a request was taken again", summarize(ratios)),
        ratio(
          "longest wait / limit",
          `of the ${wait_max_s} s that a request may wait`,
          summarize([Math.max(...waited) / wait_max_s]),
        ),
      ],
      notes: [
        `a model of ${perSecond}/s, offered ${perSecond * OVERLOAD}/s; answers: ${[...statuses].map(([status, count]) => `${count} × ${status}`).join(", ")}`,
        `Retry-After of the first refusal of each time the queue closed; waits of one request in ${SAMPLED}`,
      ],
    };
  },
};

/** One accepted request in so many is followed to its outcome. */
const SAMPLED = 200;
const FILL_PER_S = 1_000;

/** Seconds from `since` until the request has its outcome, looked at every second. */
async function waitOf(
  url: string,
  headers: Readonly<Record<string, string>>,
  since: number,
  within_ms: number,
): Promise<number> {
  for (;;) {
    const state = (await (await fetch(url, { headers })).json()) as { state: string };
    const waited_ms = performance.now() - since;
    if (state.state !== "pending") return waited_ms / 1_000;
    if (waited_ms > within_ms) throw new Error(`${url} has no outcome after ${within_ms} ms`);
    await sleep(1_000);
  }
}
