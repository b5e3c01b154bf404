import { openBus, openLanes } from "@millrace/bus";
import { runService } from "@millrace/kit";
import { openAdmission } from "./adapters/admission.ts";
import { openBooks } from "./adapters/books.ts";
import { openDeadLetters } from "./adapters/dead-letters.ts";
import { openLedger } from "./adapters/ledger.ts";
import { openModels } from "./adapters/models.ts";
import { openOutcomeWaits } from "./adapters/outcome-waits.ts";
import { openStreams } from "./adapters/streams.ts";
import { openTokenFile } from "./adapters/token-file.ts";
import { buildApp } from "./app.ts";
import { Config } from "./config.ts";

/** Ingest: HTTP in, requests out. */
await runService("ingest", Config, async (scope) => {
  const { config, log } = scope;
  const tokens = scope.use(await openTokenFile(config.TOKENS_FILE, log));
  const bus = await openBus(scope);
  const models = scope.use(await openModels(bus));
  const streams = scope.use(await openStreams(bus));
  const waits = scope.use(openOutcomeWaits(bus));
  scope.health.check("room", () => {
    const full = streams.room();
    return full ? { ok: false, detail: full.detail } : { ok: true };
  });

  const { health, metrics, signal } = scope;
  const lanes = scope.use(await openLanes(bus));
  const admission = scope.use(openAdmission(bus, { models, lanes, wait_max_s: config.WAIT_MAX_S, metrics }));
  const app = buildApp({
    log,
    health,
    metrics,
    tokens,
    models,
    streams,
    admission,
    waits,
    ledger: openLedger(bus),
    books: openBooks(bus),
    deadLetters: openDeadLetters(bus, lanes),
    signal,
  });
  scope.defer(() => app.close());
  // Waits answer at once when stopping begins, so that closing does not take as long as the longest of them.
  signal.addEventListener("abort", () => waits[Symbol.dispose](), { once: true });
  const address = await app.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  log.info({ address }, "listening");
});
