import { Counter, Histogram, type Registry, SECONDS_BUCKETS } from "@millrace/kit";
import type { OutcomeWaits, Streams } from "../domain/ports.ts";

/** The same streams, counting what they accept. */
export function meterStreams(streams: Streams, metrics: Registry): Streams {
  const requests = new Counter({
    name: "millrace_accepted_requests_total",
    help: "Requests stored, by model; a repeat is not counted again",
    labelNames: ["model"],
    registers: [metrics],
  });
  const rows = new Counter({
    name: "millrace_accepted_rows_total",
    help: "Rows of the requests stored, by model",
    labelNames: ["model"],
    registers: [metrics],
  });
  // A prototype and not a copy: what streams say of themselves stays current.
  return Object.assign(Object.create(streams) as Streams, {
    async publish(request: Parameters<Streams["publish"]>[0]) {
      const accepted = await streams.publish(request);
      if (accepted.kind === "accepted" && !accepted.repeated) {
        requests.inc({ model: request.model });
        rows.inc({ model: request.model }, request.rows);
      }
      return accepted;
    },
  });
}

/** The same waits, timing them by whether the outcome came. */
export function meterWaits(waits: OutcomeWaits, metrics: Registry): OutcomeWaits {
  const seconds = new Histogram({
    name: "millrace_outcome_wait_seconds",
    help: "How long clients waited for an outcome, and whether it came",
    labelNames: ["came"],
    buckets: SECONDS_BUCKETS,
    registers: [metrics],
  });
  return {
    begin(of) {
      const waiting = waits.begin(of);
      return {
        async outcome(options) {
          const started = performance.now();
          const outcome = await waiting.outcome(options);
          seconds.observe({ came: String(outcome !== undefined) }, (performance.now() - started) / 1_000);
          return outcome;
        },
        look: () => waiting.look(),
        [Symbol.dispose]: () => waiting[Symbol.dispose](),
      };
    },
  };
}
