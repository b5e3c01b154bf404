import { busSettings } from "@millrace/bus";
import { HealthSettings, ServiceSettings } from "@millrace/kit";
import Type, { type Static } from "typebox";

/** Settings of the inference service, read from the environment. */
export const Config = Type.Object({
  ...busSettings("inference"),
  MODELS_DIR: Type.String({ minLength: 1, description: "model folders, or folders of them, separated by : or ," }),
  BACKEND: Type.Enum(["auto", "native", "wasm"], { default: "auto", description: "auto = native where it loads" }),
  RUNNER_MEMORY_MAX_MIB: Type.Integer({ default: 2048, minimum: 64, description: "bound on one model process" }),
  RUNNER_START_TIMEOUT_MS: Type.Integer({ default: 60_000, minimum: 1_000 }),
  BATCH_MESSAGES_MAX: Type.Integer({ default: 128, minimum: 1, maximum: 1_000, description: "requests taken at once" }),
  CONCURRENCY: Type.Integer({ default: 4, minimum: 1, maximum: 64, description: "batches under way per model" }),
  ...HealthSettings,
  ...ServiceSettings,
});
export type Config = Static<typeof Config>;
