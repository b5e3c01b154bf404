/** A worker of the `admission` benchmark: a model that takes a known time for each request, whatever the machine does. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Consumption, connectBus, consumeRequests, openLanes } from "@millrace/bus";
import { decodeRequest, type ModelDeployment } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { serve } from "../room/worker.ts";

const bus = await connectBus({
  url: process.env.BENCH_NATS_URL!,
  user: process.env.BENCH_NATS_USER!,
  password: process.env.BENCH_NATS_PASSWORD!,
  log: createLogger("bench", "warn"),
});
const lanes = await openLanes(bus);
let consumption: Consumption | undefined;
/** When the work taken so far will be done: a late timer does not make the model slower. */
let free_at = 0;

const jobs = {
  async work({ manifest, digest, perSecond }: ModelDeployment & { perSecond: number }): Promise<void> {
    const options = { model: manifest.name, lanes, batch_max: 16, concurrency: 2 };
    consumption = await consumeRequests(bus, options, async (requests) => {
      free_at = Math.max(free_at, performance.now()) + (requests.length * 1_000) / perSecond;
      await sleep(free_at - performance.now());
      return requests.map(({ body }) => {
        const asked = decodeRequest(body, manifest.inputs);
        if (!asked.ok) return { kind: "reject", problem: asked.problem };
        const rows = asked.value.inputs[0]!.shape[0]!;
        const outputs = manifest.outputs.map(({ name }) => ({
          name,
          datatype: "FP32" as const,
          shape: [rows, 1],
          data: new Float32Array(rows),
        }));
        return {
          kind: "done",
          binaryOutput: false,
          outcome: {
            model: { name: manifest.name, version: manifest.version, digest },
            runtime: { backend: "bench", version: "1" },
            timing: { started_at: new Date().toISOString(), compute_ms: 0, batch_rows: rows },
            outputs,
          },
        };
      });
    });
  },
};
export type PacedWorkerJobs = typeof jobs;

serve(jobs, async () => {
  await consumption?.[Symbol.asyncDispose]();
  lanes[Symbol.dispose]();
  await bus[Symbol.asyncDispose]();
});
