import type { Registry } from "prom-client";
import { ConfigError } from "./config.ts";
import { Health, serveHealth } from "./health.ts";
import type { Logger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";

/** What a service's start function gets: where its resources are registered, and what it says of itself. */
export type Scope = {
  /** Registers a resource; resources are closed in reverse order when the service stops. Answers the resource. */
  use<Resource extends AsyncDisposable | Disposable>(resource: Resource): Resource;
  /** Registers a plain clean-up. */
  defer(cleanUp: () => void | Promise<void>): void;
  /** Aborted when stopping begins. */
  readonly signal: AbortSignal;
  /** Stops the service with exit code 1: for errors after which it must not go on. */
  fail(cause: unknown): void;
  readonly health: Health;
  readonly metrics: Registry;
};

export type ServiceOptions = {
  name: string;
  log: Logger;
  /** Time that stopping may take in all; afterwards the process exits with code 1. */
  graceMs: number;
  /** Listener of `/healthz`, `/readyz`, `/metrics`; absent when the service mounts them on its own application. */
  health?: { host: string; port: number };
};

/**
 * Runs a service until SIGTERM or SIGINT: starts it, says when it is ready, and on the way out closes what it opened in
 * reverse order (consumption stops, in-flight work drains, the connection closes). Exits the process.
 */
export async function runService(options: ServiceOptions, start: (scope: Scope) => Promise<void>): Promise<void> {
  const { log, graceMs, name } = options;
  const stopping = new AbortController();
  const health = new Health();
  const metrics = createMetrics(name);
  const stack = new AsyncDisposableStack();
  let failure: unknown;

  const stop = (why: string) => {
    if (stopping.signal.aborted) return;
    log.info({ why }, "stopping");
    health.stopping();
    stopping.abort();
    setTimeout(() => {
      log.error(
        { grace_ms: graceMs },
        "stopping took longer than the grace period; in-flight work will be redelivered",
      );
      process.exit(1);
    }, graceMs).unref();
  };
  const fail = (cause: unknown) => {
    failure ??= cause;
    log.fatal({ err: cause }, "the service cannot go on");
    stop("failure");
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);

  try {
    if (options.health) {
      const server = stack.use(await serveHealth(options.health, health, metrics));
      log.debug({ health_port: server.port }, "health routes are up");
    }
    await start({
      use: (resource) => stack.use(resource),
      defer: (cleanUp) => stack.defer(cleanUp),
      signal: stopping.signal,
      fail,
      health,
      metrics,
    });
    health.started();
    log.info("ready");
    await new Promise<void>((resolve) => {
      if (stopping.signal.aborted) resolve();
      else stopping.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  } catch (cause) {
    // An operator's mistake is one readable message; anything else keeps its stack.
    if (cause instanceof ConfigError) log.fatal({ mistakes: cause.mistakes }, cause.message);
    else fail(cause);
    failure = cause;
    stop("start failed");
  }
  await stack.disposeAsync().catch((cause: unknown) => {
    failure ??= cause;
    log.error({ err: cause }, "closing failed");
  });
  log.info({ exit_code: failure ? 1 : 0 }, "stopped");
  process.exit(failure ? 1 : 0);
}
