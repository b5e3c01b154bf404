import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { BulkClientJobs } from "../processes/bulk-client.ts";
import type { HttpClientJobs } from "../processes/http-client.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { watchOutcomes } from "../room/outcomes-watch.ts";
import { childrenOf, cpuTime, residentMiB } from "../room/process-usage.ts";
import { inferBody, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { summarize } from "../room/statistics.ts";
import { requestsUrl, startSystem } from "../room/system.ts";
import { startWorker } from "../room/worker.ts";

const SAMPLE_MS = 100;
const SETTLE_MS = 3_000;

/**
 * What each process uses: resident memory idle after the start, the most under single requests and bulk uploads, and the CPU
 * time that a single request costs it.
 */
export const memory: Benchmark = {
  about: "RSS of each process, idle and under load, and its CPU time per request",
  async run({ quick }) {
    const load_ms = quick ? 2_000 : 10_000;
    await using system = await startSystem();
    await using outcomes = await watchOutcomes(system.run.nats);
    const here = (name: string) => new URL(`../processes/${name}.ts`, import.meta.url);
    await using single = await startWorker<HttpClientJobs>(here("http-client"));
    await using bulk = await startWorker<BulkClientJobs>(here("bulk-client"));
    await bulk.call("prepare", { rows: 50_000 });
    const pids = new Map(Object.entries(system.run.processes));
    for (const pid of childrenOf(pids.get("inference")!)) pids.set(`inference, ${nameOf(pid)}`, pid);

    await sleep(SETTLE_MS);
    const idle = sample(pids);
    const most = new Map(idle);
    const timer = setInterval(() => {
      for (const [name, mib] of sample(pids)) most.set(name, Math.max(mib, most.get(name)!));
    }, SAMPLE_MS);

    const { token } = system.run;
    const url = requestsUrl(system);
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", prefer: "wait=20" };
    const target = { url, headers, body: inferBody(readings(1)), expected: 200 };
    const cpuBefore = cpu(pids);
    const rate = await single.call("saturate", { target, atOnce: 64, ms: load_ms });
    const requests = (rate * load_ms) / 1_000;
    const cpuAfter = cpu(pids);
    for (const form of ["ndjson", "csv", "binary", "json"] as const) {
      const before = outcomes.count;
      const { requests } = await bulk.call("upload", { form, url, token });
      await outcomes.reached(before + requests);
    }
    clearInterval(timer);

    const names = [...pids.keys()];
    const total = (of: ReadonlyMap<string, number>) => [...of.values()].reduce((sum, mib) => sum + mib, 0);
    return {
      rounds: 1,
      figures: [
        ...names.flatMap((name) => [
          figure(`${name}, idle`, "MiB", summarize([idle.get(name)!])),
          figure(`${name}, under load`, "MiB", summarize([most.get(name)!])),
        ]),
        figure("all, idle", "MiB", summarize([total(idle)])),
        figure("all, under load", "MiB", summarize([total(most)])),
        ...names.map((name) =>
          figure(
            `${name}, CPU`,
            "µs/request",
            summarize([usPer(requests, cpuAfter.get(name)! - cpuBefore.get(name)!)]),
          ),
        ),
        figure("all, CPU", "µs/request", summarize([usPer(requests, total(cpuAfter) - total(cpuBefore))])),
      ],
      ratios: [ratio("load / idle", "of all processes' idle memory", summarize([total(most) / total(idle)]))],
      notes: [
        `load: ${Math.round(rate)} requests/s for ${load_ms / 1_000} s, then 50 000 readings in each bulk form; the most of samples every ${SAMPLE_MS} ms`,
        "resident memory counts pages that processes share (the Node binary, TensorFlow's library) in each of them",
      ],
    };
  },
};

const sample = (pids: ReadonlyMap<string, number>): Map<string, number> =>
  new Map([...pids].map(([name, pid]) => [name, residentMiB(pid)]));

const cpu = (pids: ReadonlyMap<string, number>): Map<string, number> =>
  new Map([...pids].map(([name, pid]) => [name, cpuTime(pid)]));

const usPer = (requests: number, cpu_ms: number) => (cpu_ms * 1_000) / requests;

/** The model folder that a model process was started with. */
const nameOf = (pid: number): string => {
  const folder = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").filter(Boolean).at(-1)!;
  return folder.split("/").at(-1)!;
};
