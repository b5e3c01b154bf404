import { REQUESTS_TENSOR, type Tensor } from "@millrace/contracts";
import { handMadeRequests, publishHandMade, seededRandom } from "@millrace/testkit";
import type { Benchmark } from "../room/benchmark.ts";
import { isQuiet, poll } from "../room/poll.ts";
import { FEATURES, MANIFEST, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { interleave, perRound } from "../room/rounds.ts";
import { connectAs, openStage, PROJECT, TENANT } from "../room/services.ts";
import { summarize } from "../room/statistics.ts";

/**
 * What malformed messages on the request stream cost those among them that are good: the same number of good ones is
 * drained alone, and mixed with as many malformed ones of all kinds.
 */
export const flood: Benchmark = {
  about: "good requests/s drained among as many malformed messages, against good ones alone",
  async run({ quick, size = quick ? 2_000 : 100_000 }) {
    const rounds = quick ? 2 : 1;
    const random = seededRandom(1);
    const rows = readings(1_000);
    const tensor = (number: number): Tensor => ({
      name: MANIFEST.inputs[0]!.name,
      datatype: "FP32",
      shape: [1, FEATURES.length],
      data: Float32Array.from(rows[number % rows.length]!),
    });
    await using stage = await openStage();
    await using operator = await connectAs(stage.nats, "operator");
    const password = encodeURIComponent(stage.nats.passwordOf("operator"));
    const nats = stage.nats.url.replace("nats://", `nats://operator:${password}@`);
    let round = 0;

    /** Good results per second, from the first to the last of them. */
    const drained = async (count: number, malformed: number) => {
      const place = { tenant: TENANT, project: PROJECT, model: MANIFEST.name };
      const made = handMadeRequests({ ...place, count, random, malformed, tensor, prefix: `r${round++}` });
      const stored = await publishHandMade({ nats }, made);
      const good = [...stored.values()].filter(({ expected }) => expected === "done").length;
      const times: number[] = [];
      const done = operator.nc.subscribe("live.*.*.*.*.done", { callback: () => times.push(performance.now()) });
      await operator.nc.flush();
      const inference = await stage.startService("inference");
      await poll(async () => times.length >= good, { every_ms: 20, within_ms: 60_000 + count * 5 });
      done.unsubscribe();
      const within_ms = 60_000;
      await poll(() => isQuiet(operator, REQUESTS_TENSOR.name), { every_ms: 100, within_ms }); // the malformed ones, too
      await inference.stop();
      return ((good - 1) * 1_000) / (times.at(-1)! - times[0]!);
    };
    const samples = await interleave(
      { alone: () => drained(size, 0), mixed: () => drained(size * 2, 0.5) },
      { rounds, warmUps: quick ? 0 : 1 },
    );
    return {
      rounds,
      figures: [
        figure("good ones alone", "results/s", summarize(samples.alone)),
        figure("good ones among malformed", "results/s", summarize(samples.mixed)),
      ],
      ratios: [
        ratio(
          "among malformed / alone",
          "of the rate of good ones alone",
          perRound(samples, ({ alone, mixed }) => mixed / alone),
        ),
      ],
      notes: [
        `${size} good requests by hand on the stream, and as many malformed of all kinds; drained by inference alone, from the first result to the last good one`,
        "0.5 = a malformed message costs as much as a good one",
      ],
    };
  },
};
