import Fastify, { type FastifyInstance } from "fastify";
import { Gauge, type Registry } from "prom-client";

/** One thing a service needs. `ok: false` makes `/readyz` answer 503 with the detail. */
export type HealthCheck = () => { ok: boolean; detail?: string };

/**
 * What a service says of itself. `/healthz`: the process runs its event loop. `/readyz`: it can do its work now.
 * A service is not ready before {@link Health.started} and after stopping has begun.
 */
export class Health {
  readonly #checks = new Map<string, HealthCheck>();
  #state: "starting" | "started" | "stopping" = "starting";

  /** Adds a check under a name, which is there until it is disposed. */
  check(name: string, check: HealthCheck): Disposable {
    this.#checks.set(name, check);
    return {
      [Symbol.dispose]: () => {
        if (this.#checks.get(name) === check) this.#checks.delete(name);
      },
    };
  }
  started(): void {
    this.#state = "started";
  }
  stopping(): void {
    this.#state = "stopping";
  }

  /** The state of each check, and whether all are well. */
  report(): { ready: boolean; state: string; checks: Record<string, { ok: boolean; detail?: string }> } {
    const checks = Object.fromEntries([...this.#checks].map(([name, check]) => [name, check()]));
    const ready = this.#state === "started" && Object.values(checks).every((check) => check.ok);
    return { ready, state: this.#state, checks };
  }
}

/** Adds `/healthz`, `/readyz` and `/metrics` (Prometheus text) to a Fastify application. */
export function healthRoutes(app: FastifyInstance, health: Health, metrics: Registry): void {
  app.get("/healthz", { logLevel: "silent" }, async () => ({ status: "ok" }));
  app.get("/readyz", { logLevel: "silent" }, async (_request, reply) => {
    const report = health.report();
    return reply.code(report.ready ? 200 : 503).send(report);
  });
  app.get("/metrics", { logLevel: "silent" }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );
}

/** What `/readyz` says, for those who watch many services at once. */
export function meterHealth(health: Health, metrics: Registry): void {
  const registers = [metrics];
  new Gauge({
    name: "millrace_ready",
    help: "1 while the service can do its work, as /readyz says",
    registers,
    collect() {
      this.set(health.report().ready ? 1 : 0);
    },
  });
  new Gauge({
    name: "millrace_health_check_ok",
    help: "1 while one thing that the service needs is well, by its name in /readyz",
    labelNames: ["check"],
    registers,
    collect() {
      this.reset();
      for (const [check, { ok }] of Object.entries(health.report().checks)) this.set({ check }, ok ? 1 : 0);
    },
  });
}

/** A listener that serves only the health routes, for services without an HTTP API of their own. */
export async function serveHealth(
  options: { host: string; port: number },
  health: Health,
  metrics: Registry,
): Promise<AsyncDisposable & { port: number }> {
  const app = Fastify({ logger: false });
  healthRoutes(app, health, metrics);
  await app.listen(options);
  const address = app.server.address();
  return {
    port: typeof address === "object" && address ? address.port : options.port,
    [Symbol.asyncDispose]: () => app.close(),
  };
}
