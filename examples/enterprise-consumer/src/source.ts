import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/** What to read. */
export type Source = { connectionString: string; topic: string; subscription: string };

/**
 * Takes the source from a local Millrace's run file (`--run FILE`), or from `SERVICEBUS_CONNECTION_STRING`, `TOPIC` and
 * `SUBSCRIPTION`.
 * @throws Error saying what is missing
 */
export function readSource(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Source {
  const { values } = parseArgs({ args: [...args], options: { run: { type: "string" } } });
  if (values.run) return (JSON.parse(readFileSync(values.run, "utf8")) as { serviceBus: Source }).serviceBus;
  const connectionString = env.SERVICEBUS_CONNECTION_STRING;
  if (!connectionString) {
    throw new Error("Nothing to read from: give --run .millrace/run.json, or set SERVICEBUS_CONNECTION_STRING.");
  }
  return { connectionString, topic: env.TOPIC ?? "predictions", subscription: env.SUBSCRIPTION ?? "enterprise" };
}
