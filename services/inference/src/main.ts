import path from "node:path";
import { consumeRequests, consumeStrays, openBus, openLanes, openTable } from "@millrace/bus";
import { ModelDeployment } from "@millrace/contracts";
import { runService } from "@millrace/kit";
import { modelFolders } from "./adapters/model-folders.ts";
import { type ModelRunner, startModelRunner } from "./adapters/model-runner.ts";
import { Config, tenantWeights } from "./config.ts";
import { onRequested } from "./handlers/requested.ts";
import { inferenceMetrics } from "./metrics.ts";

/** The model process's module has the same extension as this one: `.ts` from source, `.js` in a bundle. */
const CHILD = new URL(`./runner/child${path.extname(import.meta.url)}`, import.meta.url);

await runService("inference", Config, async (scope) => {
  const { config, log } = scope;
  const weights = tenantWeights(config);
  const bus = await openBus(scope);

  const runners: ModelRunner[] = [];
  for (const folder of await modelFolders(config.MODELS_DIR)) {
    const runner = scope.use(
      await startModelRunner({
        module: CHILD,
        folder,
        start_timeout_ms: config.RUNNER_START_TIMEOUT_MS,
        memory_max_bytes: config.RUNNER_MEMORY_MAX_MIB * 2 ** 20,
        log,
        stopping: scope.signal,
        ...(config.BACKEND === "auto" ? {} : { backend: config.BACKEND }),
      }),
    );
    const { name, version } = runner.manifest;
    if (runners.some((other) => other.manifest.name === name))
      throw new Error(`MODELS_DIR holds two models named "${name}" (one in ${folder}): remove one.`);
    runners.push(runner);
    scope.health.check(`model ${name}`, () => ({ ok: runner.pid !== undefined }));
    const { backend, digest, fallbackReason } = runner;
    log.info(
      { model: name, version, digest, backend: backend.name, backend_version: backend.version },
      "model is warm",
    );
    if (fallbackReason) log.warn({ model: name }, fallbackReason);
  }

  // Announced once they can run: from here on ingest accepts requests for them.
  const deployments = scope.use(await openTable(bus, "models", ModelDeployment));
  for (const { manifest, digest } of runners) await deployments.put(manifest.name, { manifest, digest });

  const lanes = scope.use(await openLanes(bus));
  const metrics = inferenceMetrics(scope.metrics, runners);
  for (const runner of runners) {
    const consumption = await consumeRequests(
      bus,
      {
        model: runner.manifest.name,
        lanes,
        tenantWeights: weights,
        batch_max: config.BATCH_MESSAGES_MAX,
        concurrency: config.CONCURRENCY,
        settled: metrics.settled(runner.manifest.name, log),
      },
      onRequested(metrics.measured(runner)),
    );
    scope.use(consumption);
    scope.health.check(`requests of ${runner.manifest.name}`, () => ({ ok: consumption.healthy }));
  }
  const isServed = (model: string) => deployments.get(model) !== undefined;
  scope.use(await consumeStrays(bus, { isServed, lanes }));
});
