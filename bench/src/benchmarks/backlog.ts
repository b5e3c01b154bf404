import { readStreamState } from "@millrace/bus";
import { OUTCOMES, REQUESTS_TENSOR } from "@millrace/contracts";
import type { HttpClientJobs } from "../processes/http-client.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { openGenerator } from "../room/http-load.ts";
import { poll } from "../room/poll.ts";
import { residentMiB } from "../room/process-usage.ts";
import { inferBody, MANIFEST, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { fill } from "../room/requests-file.ts";
import { connectAs, openStage, PROJECT, TENANT } from "../room/services.ts";
import { quantile, summarize } from "../room/statistics.ts";
import { startWorker } from "../room/worker.ts";

/** Messages removed per second from each stream while the latencies are taken. */
const DELETES_PER_S = 500;
const WINDOW_MS = 10_000;

/**
 * How long a 202 takes while the backlog grows: open loop at half of the measured maximum, inference stopped, the keeper
 * removing settled messages from the same streams all the while.
 */
export const backlog: Benchmark = {
  about: "latency of a 202 at half load while a backlog grows, retention running",
  async run({ quick, size = quick ? 20_000 : 1_000_000 }) {
    const window_ms = quick ? 2_000 : WINDOW_MS;
    await using stage = await openStage();
    await using operator = await connectAs(stage.nats, "operator");
    const inference = await stage.startService("inference");
    const ingest = await stage.startIngest({ WAIT_MAX_S: "604800" });
    const url = `${ingest.url}/v1/${TENANT}/${PROJECT}/models/${MANIFEST.name}/requests`;
    const headers = { authorization: `Bearer ${stage.token}`, "content-type": "application/json" };
    const body = inferBody(readings(1));
    const messagesOf = async (name: string) => (await readStreamState(operator, name)).messages;

    // Settled messages for retention to remove as long as the backlog grows: as many as it will remove, and half more.
    const generator = await openGenerator();
    const full = await generator.load({ url, method: "POST", headers, body, connections: 64, seconds: quick ? 2 : 10 });
    const perSecond = full / 2;
    const settled = Math.ceil((size / perSecond) * DELETES_PER_S * 1.5);
    await fill({ url, token: stage.token, count: settled });
    const stored = await messagesOf(REQUESTS_TENSOR.name);
    await poll(async () => (await messagesOf(OUTCOMES.name)) >= stored, { within_ms: 60_000 + stored, every_ms: 200 });
    await inference.stop();
    await stage.startService("keeper", {
      REQUESTS_RETENTION: "1s",
      OUTCOMES_RETENTION: "30d",
      RETENTION_DELETES_PER_S: String(DELETES_PER_S),
      RETENTION_EVERY_MS: "1000",
    });

    await using client = await startWorker<HttpClientJobs>(new URL("../processes/http-client.ts", import.meta.url));
    const target = { url, headers, body, expected: 202 };
    const before = (await readStreamState(operator, REQUESTS_TENSOR.name)).last_sequence;
    const windows: { backlog: number; p50: number; p99: number; max: number }[] = [];
    let accepted = 0;
    const rss = residentMiB(ingest.process.pid!);
    while (accepted < size) {
      const latencies = await client.call("pace", { target, perSecond, ms: window_ms });
      accepted += latencies.length;
      windows.push({
        backlog: accepted,
        p50: quantile(latencies, 0.5),
        p99: quantile(latencies, 0.99),
        max: Math.max(...latencies),
      });
    }
    const after = await readStreamState(operator, REQUESTS_TENSOR.name);
    const removed = stored + (after.last_sequence - before) - after.messages;
    const third = Math.max(1, Math.floor(windows.length / 3));
    const of = (some: typeof windows, q: "p50" | "p99" | "max") => summarize(some.map((window) => window[q]));
    const [first, last] = [windows.slice(0, third), windows.slice(-third)];
    return {
      rounds: windows.length,
      figures: [
        figure("most accepted", "requests/s", summarize([full])),
        figure("offered", "requests/s", summarize([perSecond])),
        figure("p50, first third", "ms", of(first, "p50")),
        figure("p99, first third", "ms", of(first, "p99")),
        figure("p50, last third", "ms", of(last, "p50")),
        figure("p99, last third", "ms", of(last, "p99")),
        figure("slowest of a window", "ms", of(windows, "max")),
        figure("removed by retention meanwhile", "messages", summarize([removed])),
        figure("ingest, before", "MiB", summarize([rss])),
        figure("ingest, at the end", "MiB", summarize([residentMiB(ingest.process.pid!)])),
      ],
      ratios: [
        ratio(
          "p99 with the backlog / without",
          "of the first third",
          summarize([of(last, "p99").median / of(first, "p99").median]),
        ),
      ],
      notes: [
        `backlog grew to ${accepted} in windows of ${window_ms / 1_000} s, open loop, timed from when each was due; inference stopped`,
        `most accepted: ${generator.name} with 64 connections; retention removes ${DELETES_PER_S}/s of ${settled} settled requests`,
      ],
    };
  },
};
