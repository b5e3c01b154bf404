import { busSettings } from "@millrace/bus";
import { HealthSettings, ServiceSettings } from "@millrace/kit";
import Type from "typebox";

/** Settings of ingest, read from the environment. */
export const Config = Type.Object({
  HTTP_HOST: Type.String({ default: "127.0.0.1", description: "address to listen on" }),
  HTTP_PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8080, description: "0 = any free port" }),
  TOKENS_FILE: Type.String({ minLength: 1, description: "JSON file of token digests and their grants" }),
  WAIT_MAX_S: Type.Integer({
    default: 900,
    minimum: 1,
    description: "longest wait in the queue of a model whose manifest names none; past it requests are refused",
  }),
  NATS_SUBMISSIONS_MAX: Type.Integer({
    default: 1_024,
    minimum: 1,
    maximum: 65_536,
    description: "submissions over NATS that are answered at once; more are refused, to come again",
  }),
  ...busSettings("ingest"),
  // Without a token, for probes and scrapers inside; the API's own /metrics wants one.
  ...HealthSettings,
  ...ServiceSettings,
});
