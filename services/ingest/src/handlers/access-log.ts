import { Counter, Histogram, type Logger, plainLines, type Registry, SECONDS_BUCKETS, traceId } from "@millrace/kit";
import type { FastifyInstance } from "fastify";

/** Routes asked for by machines every few seconds; a line for each would bury the others. */
const QUIET = new Set(["health", "ready", "metrics", "serverLive", "serverReady"]);

/** One log line and one observation per HTTP call. */
export function observe(app: FastifyInstance, log: Logger, metrics: Registry): void {
  const requests = new Counter({
    name: "millrace_http_requests_total",
    help: "HTTP calls by operation and status; `none` when the client went before the answer",
    labelNames: ["operation", "status"],
    registers: [metrics],
  });
  const durations = new Histogram({
    name: "millrace_http_request_seconds",
    help: "Duration of HTTP calls by operation, event streams left out",
    labelNames: ["operation"],
    buckets: SECONDS_BUCKETS,
    registers: [metrics],
  });
  const lines = plainLines(log); // the fields below are all there are: none is a secret
  app.addHook("onRequest", (request, reply, done) => {
    const started = performance.now();
    // Fastify's `onResponse` is not called when the client goes first; every event stream would be missed.
    reply.raw.once("close", () => {
      const { call } = request;
      const operation = call?.operation ?? "none";
      const status = reply.raw.headersSent ? reply.raw.statusCode : "none";
      const duration_ms = performance.now() - started;
      requests.inc({ operation, status });
      if (!operation.endsWith("Events")) durations.observe({ operation }, duration_ms / 1_000);
      if (QUIET.has(operation) || !lines.isLevelEnabled("info")) return;
      lines.info(
        {
          operation,
          method: request.method,
          path: request.url.split("?", 1)[0],
          status,
          duration_ms: Math.round(duration_ms * 100) / 100,
          ...(reply.raw.writableFinished ? {} : { client_gone: true }),
          ...(call?.id === undefined ? {} : { id: call.id }),
          ...(call === undefined ? {} : { principal: call.caller.principal, trace_id: traceId(call.traceparent) }),
        },
        "http",
      );
    });
    done();
  });
}
