import { LOG_LEVELS } from "@millrace/kit";
import Type from "typebox";

/** Settings of the audit service, from the environment. */
export const Config = Type.Object({
  NATS_URL: Type.String({ minLength: 1, description: "nats://host:port, comma-separated for a cluster" }),
  NATS_USER: Type.String({ default: "audit" }),
  NATS_PASSWORD: Type.String({ minLength: 1, description: "password of NATS_USER" }),
  LEDGER_FILE: Type.String({
    minLength: 1,
    description: "SQLite file on a local disk; the directory must exist. Replicas share it; one writes",
  }),
  HEALTH_HOST: Type.String({ default: "127.0.0.1" }),
  HEALTH_PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 0, description: "0 = any free port" }),
  LOG_LEVEL: Type.Enum([...LOG_LEVELS], { default: "info" }),
  GRACE_MS: Type.Integer({ minimum: 0, default: 10_000, description: "time that stopping may take" }),
});
