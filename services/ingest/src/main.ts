import { connectBus } from "@millrace/bus";
import { createLogger, loadConfig, runService } from "@millrace/kit";
import { openLedger } from "./adapters/ledger.ts";
import { openModels } from "./adapters/models.ts";
import { openOutcomeWaits } from "./adapters/outcome-waits.ts";
import { openStreams } from "./adapters/streams.ts";
import { openTokenFile } from "./adapters/token-file.ts";
import { buildApp } from "./app.ts";
import { Config } from "./config.ts";

/** Ingest: HTTP in, requests out. */
const log = createLogger("ingest");
const graceMs = Number(process.env.GRACE_MS) || 10_000;

await runService({ name: "ingest", log, graceMs }, async (scope) => {
  const config = loadConfig(Config);
  const tokens = scope.use(await openTokenFile(config.TOKENS_FILE, log));
  const bus = scope.use(
    await connectBus({ url: config.NATS_URL, user: config.NATS_USER, password: config.NATS_PASSWORD, log }),
  );
  const models = scope.use(await openModels(bus));
  const streams = scope.use(await openStreams(bus));
  const waits = scope.use(openOutcomeWaits(bus));
  scope.health.check("nats", () => ({ ok: bus.connected }));
  scope.health.check("room", () => {
    const full = streams.room();
    return full ? { ok: false, detail: full.detail } : { ok: true };
  });

  const { health, metrics, signal } = scope;
  const app = buildApp({ log, health, metrics, tokens, models, streams, waits, ledger: openLedger(bus), signal });
  scope.defer(() => app.close());
  // Waits answer at once when stopping begins, so that closing does not take as long as the longest of them.
  signal.addEventListener("abort", () => waits[Symbol.dispose](), { once: true });
  const address = await app.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  log.info({ address }, "listening");
});
