import { busSettings } from "@millrace/bus";
import { isToken } from "@millrace/contracts";
import { ConfigError, HealthSettings, ServiceSettings } from "@millrace/kit";
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
  TENANT_WEIGHTS: Type.String({
    default: "",
    description: "tenant=weight, tenant=weight: shares among tenants that wait at one priority; 1 each unless given",
  }),
  ...HealthSettings,
  ...ServiceSettings,
});
export type Config = Static<typeof Config>;

/** Weights by tenant. @throws ConfigError naming every entry that cannot be read */
export function tenantWeights({ TENANT_WEIGHTS }: Pick<Config, "TENANT_WEIGHTS">): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  const wrong: string[] = [];
  for (const entry of TENANT_WEIGHTS.split(",").map((item) => item.trim())) {
    if (entry === "") continue;
    const [tenant, weight, ...rest] = entry.split("=").map((part) => part.trim());
    const value = Number(weight);
    if (!isToken(tenant) || rest.length > 0 || !(value >= WEIGHT_MIN && value <= WEIGHT_MAX) || weights.has(tenant))
      wrong.push(`TENANT_WEIGHTS: "${entry}" is not tenant=weight, ${WEIGHT_MIN} to ${WEIGHT_MAX}, each tenant once`);
    else weights.set(tenant, value);
  }
  if (wrong.length > 0) throw new ConfigError(wrong);
  return weights;
}

const WEIGHT_MIN = 0.01;
const WEIGHT_MAX = 100;
