import type { HttpClientJobs } from "../processes/http-client.ts";
import type { NoOpJobs } from "../processes/no-op-http.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { inferBody, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { interleave, perRound } from "../room/rounds.ts";
import { quantile, summarize } from "../room/statistics.ts";
import { requestsUrl, startSystem } from "../room/system.ts";
import { startWorker } from "../room/worker.ts";

const RAMP = [8, 16, 32, 64, 128];

/**
 * From the HTTP request to its outcome with everything running, at half of the load that a ramp found: in the answer
 * to the request itself (`Prefer: wait`), and on the project's event stream. The no-op route at the same rate shows
 * what the client and the machine contribute.
 */
export const latency: Benchmark = {
  about: "p50 and p99 from HTTP request to outcome, in the answer and live, at half load",
  async run({ quick }) {
    const rounds = quick ? 2 : 3;
    const ms = quick ? 1_000 : 4_000;
    await using system = await startSystem();
    await using client = await startWorker<HttpClientJobs>(new URL("../processes/http-client.ts", import.meta.url));
    await using noOp = await startWorker<NoOpJobs>(new URL("../processes/no-op-http.ts", import.meta.url));
    const { run } = system;
    const body = inferBody(readings(1));
    const headers = { authorization: `Bearer ${run.token}`, "content-type": "application/json" };
    const url = requestsUrl(system);
    const targets = {
      answered: { url, headers: { ...headers, prefer: "wait=20" }, body, expected: 200 },
      accepted: { url, headers, body, expected: 202 },
      noOp: { url: await noOp.call("url", null), headers, body, expected: 202 },
    };

    // Each request waits for its outcome, so the best rate of the ramp is one that the whole pipeline keeps up with.
    await client.call("saturate", { target: targets.answered, atOnce: 32, ms: quick ? 1_000 : 2_000 });
    const ramp: number[] = [];
    for (const atOnce of RAMP) {
      ramp.push(await client.call("saturate", { target: targets.answered, atOnce, ms: quick ? 600 : 2_000 }));
    }
    const full = Math.max(...ramp);
    const perSecond = full / 2;

    const events = `${run.http}/v1/${run.tenant}/${run.project}/outcomes/events`;
    const quantiles = (latencies: number[]) => ({ p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) });
    const samples = await interleave(
      {
        wait: async () => quantiles(await client.call("pace", { target: targets.answered, perSecond, ms })),
        live: async () => quantiles(await client.call("paceLive", { target: targets.accepted, events, perSecond, ms })),
        noOp: async () => quantiles(await client.call("pace", { target: targets.noOp, perSecond, ms })),
      },
      { rounds },
    );
    const of = (side: keyof typeof samples, q: "p50" | "p99") => summarize(samples[side].map((round) => round[q]));
    return {
      rounds,
      figures: [
        figure("full load", "requests/s", summarize([full])),
        figure("wait, p50", "ms", of("wait", "p50")),
        figure("wait, p99", "ms", of("wait", "p99")),
        figure("live, p50", "ms", of("live", "p50")),
        figure("live, p99", "ms", of("live", "p99")),
        figure("no-op route, p50", "ms", of("noOp", "p50")),
        figure("no-op route, p99", "ms", of("noOp", "p99")),
      ],
      ratios: [
        ratio(
          "wait p99 / p50",
          "from the median",
          perRound(samples, ({ wait }) => wait.p99 / wait.p50),
        ),
        ratio(
          "live p99 / p50",
          "from the median",
          perRound(samples, ({ live }) => live.p99 / live.p50),
        ),
      ],
      notes: [
        `full load is the best of ${RAMP.map((atOnce, i) => `${Math.round(ramp[i]!)}/s with ${atOnce} at once`).join(", ")}`,
        `${Math.round(perSecond)} requests/s for ${ms / 1_000} s a round, open loop, timed from when each was due`,
      ],
    };
  },
};
