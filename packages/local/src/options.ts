import path from "node:path";
import { parseArgs } from "node:util";

export type Options = {
  dataDir: string;
  demo: boolean;
  /** Three nats-servers that replicate, instead of one. */
  cluster: boolean;
  /** Model folders besides the repository's own, or directories of them. */
  models: readonly string[];
  /** Notification rules besides the demonstration's: a JSON file as the notifier reads it. */
  rules: string | undefined;
  /** Wanted ports; the next free one is taken. 0 for any. */
  ports: { http: number; nats: number; amqp: number };
};

export const HELP = `npm start -- [options]       Runs Millrace on this machine; Ctrl-C stops it.

  --no-demo          only serve, without the demonstration
  --cluster          three nats-servers that replicate each stream (R3), instead of one
  --data DIR         where all state is kept (default .millrace); one Millrace per directory
  --models DIR       a model folder, or a directory of them, besides the repository's own (repeatable)
  --rules FILE       notification rules (the notifier's file, as JSON), besides the demonstration's
  --http-port N      8080, or the next free one
  --nats-port N      4222, or the next free one; a cluster takes three
  --amqp-port N      5672, or the next free one
  --help             this text

Once ready, DIR/run.json says where everything is; DIR/logs has the log of each process.`;

/**
 * Reads the command line; relative paths are taken from `cwd`, where the user typed the command.
 * @returns the options, or `help`
 * @throws when an option is unknown or has no usable value
 */
export function parseOptions(args: readonly string[], cwd: string): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    allowPositionals: false,
    options: {
      "no-demo": { type: "boolean", default: false },
      cluster: { type: "boolean", default: false },
      data: { type: "string", default: ".millrace" },
      models: { type: "string", multiple: true, default: [] },
      rules: { type: "string" },
      "http-port": { type: "string", default: "8080" },
      "nats-port": { type: "string", default: "4222" },
      "amqp-port": { type: "string", default: "5672" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  return {
    dataDir: path.resolve(cwd, values.data),
    demo: !values["no-demo"],
    cluster: values.cluster,
    models: values.models.map((folder) => path.resolve(cwd, folder)),
    rules: values.rules === undefined ? undefined : path.resolve(cwd, values.rules),
    ports: {
      http: toPort("--http-port", values["http-port"]),
      nats: toPort("--nats-port", values["nats-port"]),
      amqp: toPort("--amqp-port", values["amqp-port"]),
    },
  };
}

function toPort(option: string, text: string): number {
  const port = Number(text);
  if (text !== "" && Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new Error(`${option} takes a number from 0 to 65535, not "${text}"`);
}
