import Schema from "typebox/schema";
import { expect, test } from "vitest";
import { examples, text, yaml } from "./files.ts";

type Values = Record<string, unknown>;
const validator = Schema.Compile(JSON.parse(text("millrace/values.schema.json")));
const defaults = yaml("millrace/values.yaml") as Values;

/** As Helm lays values over the chart's own. */
function over(base: unknown, given: unknown): unknown {
  if (!isMap(base) || !isMap(given)) return given;
  const merged: Values = { ...base };
  for (const [key, value] of Object.entries(given)) merged[key] = over(base[key], value);
  return merged;
}
const isMap = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);

test.each(["the chart's own values", ...examples()])("the schema takes %s", (name) => {
  const values = name.endsWith(".yaml") ? over(defaults, yaml(name)) : defaults;
  expect(validator.Errors(values)).toEqual([true, []]);
});

test.each([
  ["an unknown key", { unknown: 1 }],
  ["an unknown key of a service", { ingest: { replica: 3 } }],
  ["a setting that is a secret", { keeper: { env: { NATS_SYSTEM_PASSWORD: "x" } } }],
  ["a connection string", { bridge: { env: { SERVICEBUS_CONNECTION_STRING: "Endpoint=sb://x" } } }],
  ["a password in the broker's address", { nats: { url: "nats://me:secret@nats:4222" } }],
  ["the tag latest", { image: { tag: "latest" } }],
  ["an image of models without a version", { inference: { models: { image: "contoso/models" } } }],
  ["two copies of a stream", { nats: { replicas: 2 } }],
  ["no limit of memory", { keeper: { resources: { limits: { memory: null } } } }],
  ["scaling down to nothing", { inference: { scaling: { min: 0 } } }],
  ["an identity that is no id", { azure: { clientIds: { bridge: "bridge" } } }],
  ["a second writer of the ledger", { audit: { replicas: 2 } }],
  ["a disk of the ledger that many mount", { audit: { ledger: { accessMode: "ReadWriteMany" } } }],
  ["an ingress without a host", { ingest: { ingress: { enabled: true } } }],
  ["a durability there is not", { nats: { durability: "none" } }],
])("the schema refuses %s", (_, given) => {
  expect(validator.Check(over(defaults, given))).toBe(false);
});
