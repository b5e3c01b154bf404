import { freshRequestId, type Submission } from "@millrace/contracts";
import type { NoOpJobs } from "../processes/no-op-http.ts";
import type { StoreJobs } from "../processes/store.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { openGenerator } from "../room/http-load.ts";
import { cpuTime } from "../room/process-usage.ts";
import { inferBody, MANIFEST, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { interleave, perRound } from "../room/rounds.ts";
import { natsSettings, openStage, PROJECT, TENANT } from "../room/services.ts";
import { median, summarize } from "../room/statistics.ts";
import { startWorker } from "../room/worker.ts";

/** No batch is ever so large: every request is a publish of its own. */
const NO_BATCHES = { NATS_BATCH_MIN: "1000000" };

/**
 * What a 202 costs beyond HTTP: ingest checks token and body and has the request on disk before it answers; the
 * baseline parses the same body and answers as many bytes. The same ingest without batches tells what group commit
 * brings, and lone requests what it costs them. Nobody consumes meanwhile: only ingest, the broker and the generator
 * share the machine.
 */
export const accept: Benchmark = {
  about: "accepted requests/s (POST → 202, on disk), against a no-op Fastify route and single publishes",
  async run({ quick }) {
    const rounds = quick ? 3 : 5;
    const seconds = quick ? 1 : 4;
    const warm_s = quick ? 4 : 20;
    const connections = 64;
    await using stage = await openStage();
    await stage.deploy({ manifest: MANIFEST, digest: `sha256:${"0".repeat(64)}` });
    const ingest = await stage.startIngest();
    const singly = await stage.startIngest(NO_BATCHES);
    const body = inferBody(readings(1));
    const headers = { authorization: `Bearer ${stage.token}`, "content-type": "application/json" };
    const route = `/v1/${TENANT}/${PROJECT}/models/${MANIFEST.name}/requests`;

    const first = await fetch(ingest.url + route, { method: "POST", headers, body });
    if (first.status !== 202) throw new Error(`ingest answered ${first.status}: ${await first.text()}`);
    const answer = (await first.json()) as Submission;
    if (answer.durability !== "fsync") throw new Error(`a 202 means ${answer.durability} here, not fsync`);

    await using noOp = await startWorker<NoOpJobs>(new URL("../processes/no-op-http.ts", import.meta.url), {
      env: { BENCH_ANSWER: JSON.stringify({ ...answer, id: freshRequestId() }) },
    });
    const generator = await openGenerator();
    const broker = stage.nats.pid!;
    const load = async (url: string, pid: number, for_s = seconds) => {
      const before = [cpuTime(pid), cpuTime(broker)] as const;
      const rate = await generator.load({ url, method: "POST", headers, body, connections, seconds: for_s });
      const spent = (of: number, since: number) => ((cpuTime(of) - since) * 1_000) / (rate * for_s);
      return { rate, cpu_us: spent(pid, before[0]), broker_us: spent(broker, before[1]) };
    };
    const accepting = (of: typeof ingest, for_s?: number) => load(of.url + route, of.process.pid!, for_s);
    // A process that has answered some ten thousand requests is compiled; a slow side needs longer to get there.
    await accepting(ingest, warm_s);
    await accepting(singly, warm_s);
    const noOpUrl = await noOp.call("url", null);
    const samples = await interleave(
      {
        accepted: () => accepting(ingest),
        singly: () => accepting(singly),
        noOp: () => load(noOpUrl, noOp.pid),
      },
      { rounds },
    );

    const nats = natsSettings(stage.nats, "ingest");
    await using storing = await startWorker<StoreJobs>(new URL("../processes/store.ts", import.meta.url), {
      env: {
        BENCH_NATS_URL: nats.NATS_URL!,
        BENCH_NATS_USER: nats.NATS_USER!,
        BENCH_NATS_PASSWORD: nats.NATS_PASSWORD!,
      },
    });
    const lone = await interleave(
      {
        both: async () => {
          const { store, publish } = await storing.call("lone", { messages: quick ? 200 : 1_000 });
          return { store: median(store), publish: median(publish) };
        },
      },
      { rounds },
    );
    return {
      rounds,
      figures: [
        figure("accepted", "requests/s", summarize(samples.accepted.map(({ rate }) => rate))),
        figure("accepted, single publishes", "requests/s", summarize(samples.singly.map(({ rate }) => rate))),
        figure("no-op route", "requests/s", summarize(samples.noOp.map(({ rate }) => rate))),
        figure("CPU of ingest", "µs/request", summarize(samples.accepted.map(({ cpu_us }) => cpu_us))),
        figure("CPU of nats-server", "µs/request", summarize(samples.accepted.map(({ broker_us }) => broker_us))),
        figure("… with single publishes", "µs/request", summarize(samples.singly.map(({ broker_us }) => broker_us))),
        figure("CPU of the no-op route", "µs/request", summarize(samples.noOp.map(({ cpu_us }) => cpu_us))),
        figure("lone request stored, p50", "ms", summarize(lone.both.map(({ store }) => store))),
        figure("bare single publish, p50", "ms", summarize(lone.both.map(({ publish }) => publish))),
      ],
      ratios: [
        ratio(
          "accepted / no-op",
          "of a no-op route",
          perRound(samples, (of) => of.accepted.rate / of.noOp.rate),
        ),
        ratio(
          "accepted / single publishes",
          "of the same ingest without batches",
          perRound(samples, (of) => of.accepted.rate / of.singly.rate),
        ),
        ratio(
          "lone p50 / bare p50",
          "of a single publish, 1 = group commit costs a lone request nothing",
          perRound(lone, ({ both }) => both.store / both.publish),
        ),
        ratio(
          "no-op CPU / ingest CPU",
          "by CPU",
          perRound(samples, (of) => of.noOp.cpu_us / of.accepted.cpu_us),
        ),
      ],
      notes: [
        `one reading a request (${body.length} bytes), ${connections} keep-alive connections, ${seconds} s a round, every 202 after an fsync, one log line each`,
        `load from ${generator.name} ${generator.version} with one thread: it is not the limit, it drives the no-op route faster`,
        `both kinds of ingest warmed up for ${warm_s} s first; lone requests one after the other, by turns with bare publishes`,
      ],
    };
  },
};
