import Type from "typebox";
import { LOG_LEVELS } from "./logger.ts";

/** Settings that every service has: spread into its own schema. */
export const ServiceSettings = {
  LOG_LEVEL: Type.Enum([...LOG_LEVELS], { default: "info" }),
  GRACE_MS: Type.Integer({ minimum: 0, default: 20_000, description: "time that stopping may take" }),
};

/** Where a service serves, without a token and for those inside only, `/healthz`, `/readyz` and `/metrics`. */
export const HealthSettings = {
  HEALTH_HOST: Type.String({ default: "127.0.0.1" }),
  HEALTH_PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 0, description: "0 = any free port" }),
};
