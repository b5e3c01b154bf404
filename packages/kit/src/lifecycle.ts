import type { Registry } from "prom-client";
import type { Static, TObject } from "typebox";
import { ConfigError, loadConfig } from "./config.ts";
import { Health, meterHealth, serveHealth } from "./health.ts";
import { createLogger, type Logger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";
import type { HealthSettings, ServiceSettings } from "./settings.ts";

/** What a service's start function gets: where its resources are registered, and what it says of itself. */
export type Scope<Config = unknown> = {
  readonly config: Config;
  readonly log: Logger;
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

/** The least that a service's settings hold. Those with {@link HealthSettings} get a listener for the health routes. */
type BasicConfig = Static<TObject<typeof ServiceSettings>> & Partial<Static<TObject<typeof HealthSettings>>>;

/**
 * Runs a service until SIGTERM or SIGINT: reads its settings, starts it, says when it is ready, and on the way out closes
 * what it opened in reverse order (consumption stops, in-flight work drains, the connection closes). Exits the process:
 * 0 after a stop that was asked for, else 1, with one log line that says why.
 * @param name of the service, in its logs and metrics
 * @param schema of its settings, with {@link ServiceSettings} among them
 */
export async function runService<Schema extends TObject>(
  name: string,
  schema: Schema,
  start: (scope: Scope<Static<Schema>>) => Promise<void>,
): Promise<void> {
  const config = readConfig(name, schema);
  const { GRACE_MS: graceMs, LOG_LEVEL, HEALTH_HOST, HEALTH_PORT } = config as BasicConfig;
  const log = createLogger(name, LOG_LEVEL);
  const stopping = new AbortController();
  const health = new Health();
  const metrics = createMetrics(name);
  meterHealth(health, metrics);
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
    if (HEALTH_HOST !== undefined && HEALTH_PORT !== undefined) {
      const server = stack.use(await serveHealth({ host: HEALTH_HOST, port: HEALTH_PORT }, health, metrics));
      log.debug({ health_port: server.port }, "health routes are up");
    }
    await start({
      config,
      log,
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
    if (cause instanceof ConfigError) sayMistakes(log, cause);
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

function readConfig<Schema extends TObject>(name: string, schema: Schema): Static<Schema> {
  try {
    return loadConfig(schema);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    sayMistakes(createLogger(name), cause);
    process.exit(1);
  }
}

/** An operator's mistake is one readable message; anything else keeps its stack. */
const sayMistakes = (log: Logger, error: ConfigError) => log.fatal({ mistakes: error.mistakes }, error.message);
