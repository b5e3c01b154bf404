import { answerSubmissions, openBus } from "@millrace/bus";
import { runService } from "@millrace/kit";
import { openTokenFile } from "./adapters/token-file.ts";
import { buildApp } from "./app.ts";
import { Config } from "./config.ts";
import { onSubmissionCalled, tooManySubmissions } from "./handlers/submission-called.ts";
import { openParts } from "./parts.ts";

/** Ingest: HTTP and NATS in, requests out. */
await runService("ingest", Config, async (scope) => {
  const { config, log, health, metrics, signal } = scope;
  const tokens = scope.use(await openTokenFile(config.TOKENS_FILE, log));
  const bus = await openBus(scope);
  const given = { bus, log, health, metrics, signal, tokens, wait_max_s: config.WAIT_MAX_S };
  const parts = await openParts(given, (resource) => scope.use(resource));
  const app = buildApp(parts);
  scope.defer(() => app.close());
  const address = await app.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  const limit = { concurrency_max: config.NATS_SUBMISSIONS_MAX, busy: tooManySubmissions };
  scope.use(answerSubmissions(bus, limit, onSubmissionCalled(parts)));
  log.info({ address }, "listening");
});
