import { Counter, Histogram, type Registry, SECONDS_BUCKETS } from "@millrace/kit";
import type { DeadLetters, OutcomeWaits, Streams } from "../domain/ports.ts";

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

/** The same dead letters, counting what is decided about them. */
export function meterDeadLetters(deadLetters: DeadLetters, metrics: Registry): DeadLetters {
  const decisions = new Counter({
    name: "millrace_dead_letter_decisions_total",
    help: "Decisions about dead letters, by model and decision; a repeat is not counted again",
    labelNames: ["model", "decision"],
    registers: [metrics],
  });
  return {
    ...deadLetters,
    async decide(deadLetter, wish) {
      const decided = await deadLetters.decide(deadLetter, wish);
      const { model, decision } = decided.stands;
      if (!decided.repeated) decisions.inc({ model, decision });
      return decided;
    },
  };
}
