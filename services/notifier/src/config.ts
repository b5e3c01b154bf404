import { ConfigError, LOG_LEVELS, loadConfig } from "@millrace/kit";
import Type from "typebox";
import { type PrivateReceivers, parsePrivateReceivers } from "./domain/address.ts";

const Settings = Type.Object({
  ...busSettings("notifier"),
  RULES_FILE: Type.Optional(Type.String({ description: "YAML or JSON; without the file there are no rules" })),
  ALLOW_PRIVATE_WEBHOOKS: Type.String({
    default: "",
    description: "host:port, host:port: receivers that may have a private address; or true for any",
  }),
  WEBHOOK_TIMEOUT_MS: Type.Integer({ minimum: 1, maximum: 60_000, default: 15_000, description: "one attempt" }),
  ...HealthSettings,
  ...ServiceSettings,
});

export type Config = Omit<Type.Static<typeof Settings>, "ALLOW_PRIVATE_WEBHOOKS"> & {
  privateReceivers: PrivateReceivers;
};

/** Reads the settings from the environment. @throws ConfigError naming every mistake. */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  const { ALLOW_PRIVATE_WEBHOOKS, ...settings } = loadConfig(Settings, env);
  try {
    return { ...settings, privateReceivers: parsePrivateReceivers(ALLOW_PRIVATE_WEBHOOKS) };
  } catch (cause) {
    throw new ConfigError([`ALLOW_PRIVATE_WEBHOOKS: ${(cause as Error).message}`]);
  }
}
