import { LOG_LEVELS } from "@millrace/kit";
import Type from "typebox";

/** Settings of ingest, read from the environment. */
export const Config = Type.Object({
  HTTP_HOST: Type.String({ default: "127.0.0.1", description: "address to listen on" }),
  HTTP_PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8080, description: "0 = any free port" }),
  TOKENS_FILE: Type.String({ minLength: 1, description: "JSON file of token digests and their grants" }),
  NATS_URL: Type.String({ pattern: "^(nats|tls)://", description: "nats://host:port, comma-separated for a cluster" }),
  NATS_USER: Type.String({ default: "ingest" }),
  NATS_PASSWORD: Type.String({ minLength: 1 }),
  LOG_LEVEL: Type.Enum([...LOG_LEVELS], { default: "info" }),
  GRACE_MS: Type.Integer({ minimum: 100, default: 10_000, description: "time that stopping may take" }),
});
