import { namespaceName, type SecretSource, type ServiceBusAddress, secretSource } from "@millrace/azure";
import { busSettings } from "@millrace/bus";
import { ConfigError, HealthSettings, ServiceSettings } from "@millrace/kit";
import Type, { type Static } from "typebox";

/** Settings of the bridge, read from the environment. */
export const Config = Type.Object({
  ...busSettings("bridge"),
  SERVICEBUS_CONNECTION_STRING: Type.Optional(
    Type.String({ description: "with a key, or where it is: @Microsoft.KeyVault(SecretUri=…) or file:PATH" }),
  ),
  SERVICEBUS_CONNECTION_STRING_FILE: Type.Optional(Type.String({ description: "read again while it is in use" })),
  SERVICEBUS_NAMESPACE: Type.Optional(
    Type.String({ description: "name.servicebus.windows.net or name, entered with the process's own identity" }),
  ),
  SERVICEBUS_WEBSOCKETS: Type.Boolean({ default: false, description: "port 443 only, through HTTPS_PROXY if set" }),
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
  DEAD_LETTERS_EVERY_S: Type.Integer({
    default: 60,
    minimum: 1,
    maximum: 86_400,
    description: "how often the dead letters of the configuration file's entities are looked at",
  }),
  INBOUND_MESSAGES_MAX: Type.Integer({
    default: 32,
    minimum: 1,
    maximum: 1_000,
    description: "messages in hand per source without sessions",
  }),
  INBOUND_SESSIONS_MAX: Type.Integer({ default: 8, minimum: 1, maximum: 64, description: "sessions held per source" }),
  INBOUND_SESSION_IDLE_MS: Type.Integer({
    default: 1_000,
    minimum: 10,
    maximum: 60_000,
    description: "a session without messages for so long is released",
  }),
  INBOUND_HOLD_MAX_S: Type.Integer({
    default: 3_600,
    minimum: 1,
    maximum: 86_400,
    description:
      "how long a message is held while requests are not taken; then it is given back, which counts as a delivery",
  }),
  ...HealthSettings,
  ...ServiceSettings,
});
export type Config = Static<typeof Config>;

/**
 * Where the namespace is: an address, or where its connection string is kept.
 * @throws ConfigError unless exactly one way is given
 */
export function serviceBusPlace(config: Config): ServiceBusAddress | { kept: SecretSource } {
  const given = [
    config.SERVICEBUS_NAMESPACE && (() => ({ fullyQualifiedNamespace: namespaceName(config.SERVICEBUS_NAMESPACE!) })),
    config.SERVICEBUS_CONNECTION_STRING && (() => fromSetting(config.SERVICEBUS_CONNECTION_STRING!)),
    config.SERVICEBUS_CONNECTION_STRING_FILE && (() => ({ kept: { file: config.SERVICEBUS_CONNECTION_STRING_FILE! } })),
  ].filter((one) => typeof one === "function");
  if (given.length !== 1)
    throw new ConfigError([
      "SERVICEBUS_CONNECTION_STRING, SERVICEBUS_CONNECTION_STRING_FILE, SERVICEBUS_NAMESPACE: set exactly one (a connection string with a key, or the namespace's name for managed identity)",
    ]);
  try {
    return given[0]!();
  } catch (cause) {
    throw new ConfigError([(cause as Error).message]);
  }
}

function fromSetting(text: string): { connectionString: string } | { kept: SecretSource } {
  const source = secretSource(text, "SERVICEBUS_CONNECTION_STRING");
  return "value" in source ? { connectionString: source.value } : { kept: source };
}

/** Where too large bodies go; undefined when they are to go nowhere. @throws ConfigError when two places are given */
export function blobAddress(config: Pick<Config, "BLOB_ACCOUNT_URL" | "BLOB_CONNECTION_STRING">) {
  const { BLOB_ACCOUNT_URL: account, BLOB_CONNECTION_STRING: connectionString } = config;
  if (account && connectionString)
    throw new ConfigError(["BLOB_ACCOUNT_URL, BLOB_CONNECTION_STRING: set one of them, or none"]);
  if (account) return { account };
  return connectionString ? { connectionString } : undefined;
}
