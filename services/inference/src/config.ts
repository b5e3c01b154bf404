import Type, { type Static } from "typebox";

/** Settings of the inference service, read from the environment. */
export const Config = Type.Object({
  NATS_URL: Type.String({ minLength: 1, description: "nats://host:port, comma-separated for a cluster" }),
  NATS_USER: Type.String({ default: "inference" }),
  NATS_PASSWORD: Type.String({ minLength: 1 }),
  MODELS_DIR: Type.String({ minLength: 1, description: "model folders, or folders of them, separated by : or ," }),
  BACKEND: Type.Enum(["auto", "native", "wasm"], { default: "auto", description: "auto = native where it loads" }),
  RUNNER_MEMORY_MAX_MIB: Type.Integer({ default: 2048, minimum: 64, description: "bound on one model process" }),
  RUNNER_START_TIMEOUT_MS: Type.Integer({ default: 60_000, minimum: 1_000 }),
  BATCH_MESSAGES_MAX: Type.Integer({ default: 128, minimum: 1, maximum: 1_000, description: "requests taken at once" }),
  CONCURRENCY: Type.Integer({ default: 4, minimum: 1, maximum: 64, description: "batches under way per model" }),
  HEALTH_HOST: Type.String({ default: "127.0.0.1" }),
  HEALTH_PORT: Type.Integer({ default: 0, minimum: 0, maximum: 65_535, description: "0 = any free port" }),
  GRACE_MS: Type.Integer({ default: 20_000, minimum: 0, description: "time that stopping may take" }),
});
export type Config = Static<typeof Config>;
