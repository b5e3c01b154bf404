import { readStreamState } from "@millrace/bus";
import { OUTCOMES } from "@millrace/contracts";
import type { Benchmark } from "../room/benchmark.ts";
import { childrenOf, residentMiB } from "../room/process-usage.ts";
import { MANIFEST } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { fill } from "../room/requests-file.ts";
import { rateBetween, sampleUntil } from "../room/series.ts";
import { connectAs, openStage, PROJECT, TENANT } from "../room/services.ts";
import { summarize } from "../room/statistics.ts";

const LOOK_MS = 200;
/** The first requests meet a cold model, cold code and empty queues. */
const WARM_UP = { part: 0.05, max: 20_000 };

/**
 * A backlog of single rows that were stored while inference was stopped, drained by inference alone. A queue that slows
 * down with its length, or a process that grows with it, shows between the first tenth and the last.
 */
export const drain: Benchmark = {
  about: "a backlog of single rows drained by inference: rate at its begin and end, memory",
  async run({ quick, size = quick ? 50_000 : 1_000_000 }) {
    await using stage = await openStage();
    await using operator = await connectAs(stage.nats, "operator");
    const first = await stage.startService("inference"); // says that the model is deployed
    await first.stop();
    const ingest = await stage.startIngest({ WAIT_MAX_S: "604800" });
    const url = `${ingest.url}/v1/${TENANT}/${PROJECT}/models/${MANIFEST.name}/requests`;

    const natsEmpty = residentMiB(stage.nats.pid!);
    const filling = performance.now();
    await fill({ url, token: stage.token, count: size });
    const filled_s = (performance.now() - filling) / 1_000;
    const natsFull = residentMiB(stage.nats.pid!);

    const inference = await stage.startService("inference");
    const pids = { inference: inference.pid!, model: childrenOf(inference.pid!)[0]!, ingest: ingest.process.pid! };
    const memory: { count: number; ours: number; of: Record<string, number> }[] = [];
    const samples = await sampleUntil(
      async () => {
        const { messages } = await readStreamState(operator, OUTCOMES.name);
        const of = Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, residentMiB(pid)]));
        memory.push({ count: messages, ours: Object.values(of).reduce((sum, mib) => sum + mib, 0), of });
        return messages;
      },
      (count) => count >= size,
      { every_ms: LOOK_MS, within_ms: 60_000 + size * 2 },
    );
    const natsDone = residentMiB(stage.nats.pid!);

    const warm = Math.round(Math.min(WARM_UP.max, size * WARM_UP.part));
    const tenth = Math.round(size / 10);
    const begin = rateBetween(samples, warm, warm + tenth);
    const end = rateBetween(samples, size - tenth, size);
    const early = memory.find(({ count }) => count >= warm + tenth)!;
    const most = Math.max(...memory.filter(({ count }) => count >= warm + tenth).map(({ ours }) => ours));
    const one = (value: number) => summarize([value]);
    return {
      rounds: 1,
      figures: [
        figure("stored by bulk uploads of single rows", "requests/s", one(size / filled_s)),
        figure("drained, after warm-up", "results/s", one(rateBetween(samples, warm, size))),
        figure("drained, first tenth", "results/s", one(begin)),
        figure("drained, last tenth", "results/s", one(end)),
        ...Object.keys(pids).flatMap((name) => [
          figure(`${name}, after the first tenth`, "MiB", one(early.of[name]!)),
          figure(`${name}, at the end`, "MiB", one(memory.at(-1)!.of[name]!)),
        ]),
        figure("nats-server per million requests stored", "MiB", one(((natsFull - natsEmpty) / size) * 1e6)),
        figure("nats-server per million ids drained", "MiB", one(((natsDone - natsEmpty) / size) * 1e6)),
      ],
      ratios: [
        ratio("last tenth / first tenth", "of the rate at the begin", one(end / begin)),
        ratio("our processes' memory", "of that after the first tenth, at most", one(most / early.ours)),
      ],
      notes: [
        `${size} requests of one row; ${warm} of warm-up; ingest idle, notifier, audit and bridge not running`,
        "an id that is drained is one message in the request stream and one among the outcomes, both retained",
      ],
    };
  },
};
