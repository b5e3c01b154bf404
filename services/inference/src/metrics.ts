import type { consumeRequests } from "@millrace/bus";
import { rowCount, type Tensor } from "@millrace/contracts";
import {
  Counter,
  Gauge,
  Histogram,
  type Logger,
  plainLines,
  type Registry,
  SECONDS_BUCKETS,
  traceId,
} from "@millrace/kit";
import type { ModelRunner } from "./adapters/model-runner.ts";
import type { ServedModel } from "./domain/model.ts";

type Settled = NonNullable<Parameters<typeof consumeRequests>[1]["settled"]>;

/** What the service counts: requests by how they ended, and runs of each model by time and size. */
export function inferenceMetrics(registry: Registry, runners: readonly ModelRunner[]) {
  const registers = [registry];
  const requests = new Counter({
    name: "millrace_inference_requests_total",
    help: "Requests settled, by how: done, retry, or the code of the dead letter",
    labelNames: ["model", "outcome"],
    registers,
  });
  const seconds = new Histogram({
    name: "millrace_inference_request_seconds",
    help: "From being handed to the service until its outcome is stored",
    labelNames: ["model"],
    buckets: SECONDS_BUCKETS,
    registers,
  });
  const compute = new Histogram({
    name: "millrace_inference_run_seconds",
    help: "One run of a model over one batch",
    labelNames: ["model"],
    buckets: SECONDS_BUCKETS,
    registers,
  });
  const rows = new Histogram({
    name: "millrace_inference_run_rows",
    help: "Rows of one run of a model",
    labelNames: ["model"],
    buckets: [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536],
    registers,
  });
  new Gauge({
    name: "millrace_inference_process_resident_bytes",
    help: "Resident memory of a model's process",
    labelNames: ["model"],
    registers,
    collect() {
      for (const runner of runners) this.set({ model: runner.manifest.name }, runner.rss_bytes);
    },
  });
  new Counter({
    name: "millrace_inference_process_restarts_total",
    help: "Model processes started after the first",
    labelNames: ["model"],
    registers,
    collect() {
      this.reset(); // the runner counts; this only shows its number
      for (const runner of runners) this.inc({ model: runner.manifest.name }, runner.restarts);
    },
  });

  return {
    /** Counts each settled request, and logs it: one line, at debug when all is well, since there are thousands a second. */
    settled(model: string, log: Logger): Settled {
      // Found once: to look for labels in a metric costs more than to count.
      const took = seconds.labels(model);
      const lines = plainLines(log);
      const done = requests.labels(model, "done");
      return ({ subject, deliveries, header }, outcome, duration_ms) => {
        if (outcome === "done") done.inc();
        else requests.inc({ model, outcome });
        took.observe(duration_ms / 1000);
        const level = outcome === "done" ? "debug" : "warn";
        if (!lines.isLevelEnabled(level)) return;
        const line = { subject, deliveries, outcome, duration_ms, trace_id: traceId(header("traceparent")) };
        lines[level](line, "request settled");
      };
    },

    /** The same model, with every run measured. */
    measured: ({ manifest, digest, backend, run }: ServedModel): ServedModel => ({
      manifest,
      digest,
      backend,
      run: async (inputs: readonly Tensor[]) => {
        const result = await run(inputs);
        if (result.ok) {
          compute.observe({ model: manifest.name }, result.compute_ms / 1000);
          rows.observe({ model: manifest.name }, rowCount(inputs));
        }
        return result;
      },
    }),
  };
}
