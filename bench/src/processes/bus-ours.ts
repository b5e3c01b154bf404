/** Our side of the `bus` benchmark: consumption and publishing as the services do it. */
import { connectBus, consumeRequests, openLanes, publishRequest } from "@millrace/bus";
import { createLogger } from "@millrace/kit";
import { serve } from "../room/worker.ts";
import { BATCH_MAX, CONCURRENCY, DIGEST, newRequest, OUTPUT } from "./bus-job.ts";
import { concurrently } from "./concurrently.ts";

const { BENCH_NATS_URL: url = "", BENCH_NATS_USER: user = "", BENCH_NATS_PASSWORD: password = "" } = process.env;
const bus = await connectBus({ url, user, password, log: createLogger("bench", "warn") });

const lanes = await openLanes(bus);

const jobs = {
  /** Settles what waits for the model; answers the time in ms from the first pull to the last ack on the wire. */
  async drain({ model, messages }: { model: string; messages: number }): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let settled = 0;
    const { tenant, priority } = newRequest(model);
    await lanes.register({ kind: "tensor", priority, tenant, model });
    const started = performance.now();
    const consumption = await consumeRequests(
      bus,
      {
        model,
        lanes,
        batch_max: BATCH_MAX,
        concurrency: CONCURRENCY,
        settled: () => {
          settled++;
          if (settled === messages) resolve();
        },
      },
      async (requests) =>
        requests.map(() => ({
          kind: "done",
          binaryOutput: false,
          outcome: {
            model: { name: model, version: "1", digest: DIGEST },
            runtime: { backend: "none", version: "0" },
            timing: { started_at: new Date().toISOString(), compute_ms: 0, batch_rows: requests.length },
            outputs: [OUTPUT],
          },
        })),
    );
    await promise;
    await bus.nc.flush();
    const elapsed_ms = performance.now() - started;
    await consumption[Symbol.asyncDispose]();
    return elapsed_ms;
  },

  /** Stores new requests, so many at once; answers the time in ms. */
  async publish({ model, messages, atOnce }: { model: string; messages: number; atOnce: number }): Promise<number> {
    const started = performance.now();
    await concurrently(messages, atOnce, async () => {
      const accepted = await publishRequest(bus, newRequest(model));
      if (accepted.kind !== "accepted" || accepted.repeated) throw new Error("a fresh request was not stored");
    });
    return performance.now() - started;
  },
};
export type OursJobs = typeof jobs;

serve(jobs, async () => {
  lanes[Symbol.dispose]();
  await bus[Symbol.asyncDispose]();
});
