import { busSettings } from "@millrace/bus";
import { ConfigError, HealthSettings, ServiceSettings } from "@millrace/kit";
import Type, { type Static } from "typebox";
import { type PrivateReceivers, parsePrivateReceivers } from "./domain/address.ts";

/** Settings of the notifier, read from the environment. */
export const Config = Type.Object({
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

export type Config = Static<typeof Config>;

/** Which receivers may have a private address. @throws ConfigError */
export function privateReceivers({ ALLOW_PRIVATE_WEBHOOKS }: Config): PrivateReceivers {
  try {
    return parsePrivateReceivers(ALLOW_PRIVATE_WEBHOOKS);
  } catch (cause) {
    throw new ConfigError([`ALLOW_PRIVATE_WEBHOOKS: ${(cause as Error).message}`]);
  }
}
