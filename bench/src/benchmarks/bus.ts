import { connectBus, provision } from "@millrace/bus";
import { createLogger } from "@millrace/kit";
import { natsServer } from "@millrace/testkit";
import { BATCH_MAX, CONCURRENCY, IN_FLIGHT_MAX } from "../processes/bus-job.ts";
import type { OursJobs } from "../processes/bus-ours.ts";
import type { RawJobs } from "../processes/bus-raw.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { cpuTime } from "../room/process-usage.ts";
import { figure, ratio } from "../room/report.ts";
import { interleave, perRound } from "../room/rounds.ts";
import { summarize } from "../room/statistics.ts";
import { startWorker } from "../room/worker.ts";

/**
 * What the abstractions of packages/bus cost: requests consumed, answered, their outcomes stored under
 * compare-and-set, and acked, against the same job written straight on the `nats` package. Both publish to one server
 * that writes through (`sync_interval: always`), from messages with the same bodies.
 */
export const bus: Benchmark = {
  about: "consume → outcome → store → ack, against a raw loop with the nats package",
  async run({ quick }) {
    const messages = quick ? 2_000 : 10_000;
    const rounds = quick ? 3 : 5;
    await using server = await natsServer();
    await provisioned(server);
    const side = (user: string) => ({
      env: { BENCH_NATS_URL: server.url, BENCH_NATS_USER: user, BENCH_NATS_PASSWORD: server.passwordOf(user) },
    });
    const here = (name: string) => new URL(`../processes/${name}.ts`, import.meta.url);
    await using filler = await startWorker<OursJobs>(here("bus-ours"), side("ingest"));
    await using rawFiller = await startWorker<RawJobs>(here("bus-raw"), side("operator"));
    await using ours = await startWorker<OursJobs>(here("bus-ours"), side("inference"));
    await using raw = await startWorker<RawJobs>(here("bus-raw"), side("inference"));

    const rate = (elapsed_ms: number) => (messages / elapsed_ms) * 1_000;
    /** A model per side: its requests are filled in first, then drained by the side alone. */
    const filled =
      (model: string, pid: number, drain: (of: { model: string; messages: number }) => Promise<number>) => async () => {
        await filler.call("publish", { model, messages, atOnce: 512 });
        const before = cpuTime(pid);
        const elapsed_ms = await drain({ model, messages });
        return { rate: rate(elapsed_ms), cpu_us: ((cpuTime(pid) - before) * 1_000) / messages };
      };
    const drains = await interleave(
      {
        ours: filled("ours", ours.pid, (of) => ours.call("drain", of)),
        batched: filled("raw-batched", raw.pid, (of) => raw.call("drainBatched", of)),
        single: filled("raw-single", raw.pid, (of) => raw.call("drain", of)),
      },
      { rounds },
    );
    const stores = await interleave(
      {
        group: async () => rate(await filler.call("publish", { model: "stored", messages, atOnce: IN_FLIGHT_MAX })),
        single: async () => rate(await rawFiller.call("publish", { model: "stored", messages, atOnce: IN_FLIGHT_MAX })),
      },
      { rounds },
    );
    return {
      rounds,
      figures: [
        figure("bus", "messages/s", summarize(drains.ours.map((of) => of.rate))),
        figure("raw loop, atomic batches", "messages/s", summarize(drains.batched.map((of) => of.rate))),
        figure("raw loop, single publishes", "messages/s", summarize(drains.single.map((of) => of.rate))),
        figure("bus, CPU", "µs/message", summarize(drains.ours.map((of) => of.cpu_us))),
        figure("raw loop, atomic batches, CPU", "µs/message", summarize(drains.batched.map((of) => of.cpu_us))),
        figure("raw loop, single publishes, CPU", "µs/message", summarize(drains.single.map((of) => of.cpu_us))),
        figure("store, group commit", "messages/s", summarize(stores.group)),
        figure("store, single publishes", "messages/s", summarize(stores.single)),
      ],
      ratios: [
        ratio(
          "bus / raw",
          "of a raw loop that publishes singly",
          perRound(drains, (of) => of.ours.rate / of.single.rate),
        ),
        ratio(
          "bus / raw batched",
          "of a raw loop that batches",
          perRound(drains, (of) => of.ours.rate / of.batched.rate),
        ),
        ratio(
          "group / single",
          "of storing singly",
          perRound(stores, (of) => of.group / of.single),
        ),
      ],
      notes: [
        `${messages} requests a round, pre-filled; at most ${IN_FLIGHT_MAX} under way (${CONCURRENCY} batches of ${BATCH_MAX}); sync_interval always`,
      ],
    };
  },
};

async function provisioned(server: Awaited<ReturnType<typeof natsServer>>): Promise<void> {
  const log = createLogger("bench", "warn");
  await using operator = await connectBus({
    url: server.url,
    user: "operator",
    password: server.passwordOf("operator"),
    log,
  });
  await provision(operator, { replicas: 1 });
}
