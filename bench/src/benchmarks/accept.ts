import { freshRequestId, type Submission } from "@millrace/contracts";
import type { NoOpJobs } from "../processes/no-op-http.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { openGenerator } from "../room/http-load.ts";
import { cpuTime } from "../room/process-usage.ts";
import { inferBody, MANIFEST, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { interleave, perRound } from "../room/rounds.ts";
import { openStage, PROJECT, TENANT } from "../room/services.ts";
import { summarize } from "../room/statistics.ts";
import { startWorker } from "../room/worker.ts";

/**
 * What a 202 costs beyond HTTP: ingest checks token and body and has the request on disk before it answers; the
 * baseline parses the same body and answers as many bytes. Nobody consumes meanwhile: only ingest, the broker and the
 * generator share the machine.
 */
export const accept: Benchmark = {
  about: "accepted requests/s (POST → 202, on disk), against a no-op Fastify route",
  async run({ quick }) {
    const rounds = quick ? 3 : 5;
    const seconds = quick ? 1 : 4;
    const connections = 64;
    await using stage = await openStage();
    await stage.deploy({ manifest: MANIFEST, digest: `sha256:${"0".repeat(64)}` });
    const ingest = await stage.startIngest();
    const body = inferBody(readings(1));
    const headers = { authorization: `Bearer ${stage.token}`, "content-type": "application/json" };
    const url = `${ingest.url}/v1/${TENANT}/${PROJECT}/models/${MANIFEST.name}/requests`;

    const first = await fetch(url, { method: "POST", headers, body });
    if (first.status !== 202) throw new Error(`ingest answered ${first.status}: ${await first.text()}`);
    const answer = (await first.json()) as Submission;
    if (answer.durability !== "fsync") throw new Error(`a 202 means ${answer.durability} here, not fsync`);

    await using noOp = await startWorker<NoOpJobs>(new URL("../processes/no-op-http.ts", import.meta.url), {
      env: { BENCH_ANSWER: JSON.stringify({ ...answer, id: freshRequestId() }) },
    });
    const generator = await openGenerator();
    const load = (of: string, pid: number) => async () => {
      const before = cpuTime(pid);
      const rate = await generator.load({ url: of, method: "POST", headers, body, connections, seconds });
      return { rate, cpu_us: ((cpuTime(pid) - before) * 1_000) / (rate * seconds) };
    };
    const samples = await interleave(
      {
        accepted: load(url, ingest.process.pid!),
        noOp: load(await noOp.call("url", null), noOp.pid),
      },
      { rounds },
    );
    return {
      rounds,
      figures: [
        figure("accepted", "requests/s", summarize(samples.accepted.map(({ rate }) => rate))),
        figure("no-op route", "requests/s", summarize(samples.noOp.map(({ rate }) => rate))),
        figure("CPU of ingest", "µs/request", summarize(samples.accepted.map(({ cpu_us }) => cpu_us))),
        figure("CPU of the no-op route", "µs/request", summarize(samples.noOp.map(({ cpu_us }) => cpu_us))),
      ],
      ratios: [
        ratio(
          "accepted / no-op",
          "of a no-op route",
          perRound(samples, (of) => of.accepted.rate / of.noOp.rate),
        ),
        ratio(
          "no-op CPU / ingest CPU",
          "by CPU",
          perRound(samples, (of) => of.noOp.cpu_us / of.accepted.cpu_us),
        ),
      ],
      notes: [
        `one reading a request (${body.length} bytes), ${connections} keep-alive connections, ${seconds} s a round, every 202 after an fsync`,
        `load from ${generator.name} ${generator.version} with one thread: it is not the limit, it drives the no-op route faster`,
      ],
    };
  },
};
