import { busSettings } from "@millrace/bus";
import { ConfigError, HealthSettings, ServiceSettings } from "@millrace/kit";
import Type, { type Static } from "typebox";

/** Settings of the bridge, read from the environment. */
export const Config = Type.Object({
  ...busSettings("bridge"),
  SERVICEBUS_CONNECTION_STRING: Type.Optional(Type.String({ description: "with a key; for local use" })),
  SERVICEBUS_NAMESPACE: Type.Optional(
    Type.String({ description: "name.servicebus.windows.net, entered with the process's own identity" }),
  ),
  ROUTES_FILE: Type.Optional(Type.String({ description: "YAML or JSON; without it all outcomes go to `predictions`" })),
  BATCH_MESSAGES_MAX: Type.Integer({ default: 256, minimum: 1, maximum: 1_000, description: "outcomes of one send" }),
  BATCHES_IN_FLIGHT: Type.Integer({ default: 8, minimum: 1, maximum: 32, description: "sends under way per route" }),
  BLOB_ACCOUNT_URL: Type.Optional(
    Type.String({
      description:
        "storage account that keeps what is too large for a message, by URL or name, entered with the process's own identity",
    }),
  ),
  BLOB_CONNECTION_STRING: Type.Optional(Type.String({ description: "instead, with a key; for local use" })),
  BLOB_CONTAINER: Type.String({ default: "outcomes", pattern: "^[a-z0-9](?:-?[a-z0-9]){2,62}$" }),
  ...HealthSettings,
  ...ServiceSettings,
});
export type Config = Static<typeof Config>;

/** Where the namespace is. @throws ConfigError unless exactly one way is given */
export function serviceBusAddress(config: Config) {
  const { SERVICEBUS_CONNECTION_STRING: connectionString, SERVICEBUS_NAMESPACE: fullyQualifiedNamespace } = config;
  if (connectionString && !fullyQualifiedNamespace) return { connectionString };
  if (fullyQualifiedNamespace && !connectionString) return { fullyQualifiedNamespace };
  throw new ConfigError([
    "SERVICEBUS_CONNECTION_STRING, SERVICEBUS_NAMESPACE: set exactly one (a connection string with a key, or the namespace's name for managed identity)",
  ]);
}

/** Where too large bodies go; undefined when they are to go nowhere. @throws ConfigError when two places are given */
export function blobAddress(config: Pick<Config, "BLOB_ACCOUNT_URL" | "BLOB_CONNECTION_STRING">) {
  const { BLOB_ACCOUNT_URL: account, BLOB_CONNECTION_STRING: connectionString } = config;
  if (account && connectionString)
    throw new ConfigError(["BLOB_ACCOUNT_URL, BLOB_CONNECTION_STRING: set one of them, or none"]);
  if (account) return { account };
  return connectionString ? { connectionString } : undefined;
}
