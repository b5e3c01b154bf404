import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

export type Settings = {
  /** A key, or the namespace's name, entered with the process's own identity. */
  address: { connectionString: string } | { namespace: string };
  /** A queue, or a topic and a subscription of it. */
  source: [queue: string] | [topic: string, subscription: string];
  /** The source requires sessions. */
  sessions: boolean;
  /** The file with what was handled. */
  store: string;
};

type Env = Readonly<Record<string, string | undefined>>;

/**
 * From the run file of a local Millrace (`--run FILE`) or the environment.
 * @throws Error saying what is missing
 */
export function readSettings(args: readonly string[], env: Env): Settings {
  const { values } = parseArgs({ args: [...args], options: { run: { type: "string" } } });
  const run = values.run === undefined ? undefined : readRun(values.run);
  const topic = env.TOPIC ?? run?.topic ?? "predictions";
  return {
    address: addressOf(run?.connectionString, env),
    source: env.QUEUE ? [env.QUEUE] : [topic, env.SUBSCRIPTION ?? run?.subscription ?? "enterprise"],
    sessions: env.SESSIONS === "true",
    store: env.STORE ?? "handled.sqlite",
  };
}

function addressOf(running: string | undefined, env: Env): Settings["address"] {
  if (running !== undefined) return { connectionString: running };
  if (env.SERVICEBUS_NAMESPACE) return { namespace: env.SERVICEBUS_NAMESPACE };
  if (env.SERVICEBUS_CONNECTION_STRING) return { connectionString: env.SERVICEBUS_CONNECTION_STRING };
  throw new Error(
    "Nothing to read from: give --run .millrace/run.json, or set SERVICEBUS_NAMESPACE or SERVICEBUS_CONNECTION_STRING.",
  );
}

type Run = { connectionString: string; topic: string; subscription: string };
const readRun = (file: string): Run => (JSON.parse(readFileSync(file, "utf8")) as { serviceBus: Run }).serviceBus;
