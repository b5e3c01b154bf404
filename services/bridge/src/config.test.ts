import { ConfigError, loadConfig } from "@millrace/kit";
import { expect, it } from "vitest";
import { Config, serviceBusPlace } from "./config.ts";

const place = (env: Record<string, string>) =>
  serviceBusPlace(loadConfig(Config, { NATS_URL: "nats://localhost", NATS_PASSWORD: "p", ...env }));

it.each([
  [{ SERVICEBUS_NAMESPACE: "contoso" }, { fullyQualifiedNamespace: "contoso.servicebus.windows.net" }],
  [{ SERVICEBUS_NAMESPACE: "localhost:5672" }, { fullyQualifiedNamespace: "localhost:5672" }],
  [{ SERVICEBUS_CONNECTION_STRING: "Endpoint=sb://x" }, { connectionString: "Endpoint=sb://x" }],
  [{ SERVICEBUS_CONNECTION_STRING: "file:/run/sas" }, { kept: { file: "/run/sas" } }],
  [{ SERVICEBUS_CONNECTION_STRING_FILE: "/run/sas" }, { kept: { file: "/run/sas" } }],
  [
    { SERVICEBUS_CONNECTION_STRING: "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/sas)" },
    { kept: { keyVault: { url: "https://v.vault.azure.net", name: "sas" } } },
  ],
])("%j", (env, expected) => expect(place(env as Record<string, string>)).toEqual(expected));

it.each([
  [{}],
  [{ SERVICEBUS_NAMESPACE: "contoso", SERVICEBUS_CONNECTION_STRING: "Endpoint=sb://x" }],
  [{ SERVICEBUS_CONNECTION_STRING: "@Microsoft.KeyVault(hunter2)" }],
])("%j is refused, and nothing of a value is shown", (env) => {
  expect(() => place(env as Record<string, string>)).toThrow(ConfigError);
  expect(() => place(env as Record<string, string>)).not.toThrow(/hunter2|sb:\/\/x/);
});
