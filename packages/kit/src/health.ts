import Fastify, { type FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

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
