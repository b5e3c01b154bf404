import { readFileSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { homedir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import type { BrokerConfig, Certificate, EntraSettings } from "./index.ts";

/*
 * The broker as a command:
 *   node src/main.ts --config FILE [--port 5672] [--host 127.0.0.1] [--data-dir DIR]
 * or CONFIG_FILE, PORT, HOST, DATA_DIR in the environment; the key comes from SHARED_ACCESS_KEY only, since arguments are
 * visible to every process, and so does CONTROL_TOKEN, which opens /$emulator/. ENTRA_FILE names a JSON file that says
 * whose tokens are accepted, TLS_KEY_FILE and TLS_CERTIFICATE_FILE a certificate (PEM) to use instead of one that the broker
 * makes for itself. Prints one JSON line once it listens, ends cleanly on SIGTERM and SIGINT.
 */
const { env } = process;

/** From the second start on a third faster; in the user's own folder, since what is in it is run. */
enableCompileCache(path.join(env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "millrace", "compile-cache"));

const { values } = parseArgs({
  options: {
    config: { type: "string", default: env.CONFIG_FILE },
    port: { type: "string", default: env.PORT ?? "5672" },
    host: { type: "string", default: env.HOST ?? "127.0.0.1" },
    "data-dir": { type: "string", default: env.DATA_DIR },
  },
});

async function main(): Promise<void> {
  const port = Number(values.port);
  if (!values.config) throw new Error("No configuration: give --config FILE (the official emulator's Config.json).");
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`--port ${values.port} is not a port.`);
  const { start } = await import("./index.ts"); // not before the cache is there
  const broker = await start({
    port,
    host: values.host ?? "127.0.0.1",
    config: readJson<BrokerConfig>(values.config, "configuration"),
    dataDir: values["data-dir"],
    sharedAccessKey: env.SHARED_ACCESS_KEY,
    entra: env.ENTRA_FILE ? readJson<EntraSettings>(env.ENTRA_FILE, "Entra settings") : undefined,
    tls: readTls(),
    controlToken: env.CONTROL_TOKEN || undefined,
    onFatal: fail,
  });
  const { host } = values;
  process.stdout.write(
    `${JSON.stringify({ event: "listening", host, port: broker.port, persistent: !!values["data-dir"] })}\n`,
  );
  const stop = () => void broker.close().then(() => process.exit(0), fail);
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  flushCompileCache();
}

function readTls(): Certificate | undefined {
  const { TLS_KEY_FILE: key, TLS_CERTIFICATE_FILE: cert } = env;
  if (!key && !cert) return undefined;
  if (!key || !cert) throw new Error("TLS_KEY_FILE and TLS_CERTIFICATE_FILE go together; only one of them is set.");
  return { key: read(key, "TLS key"), cert: read(cert, "TLS certificate") };
}

function readJson<T>(file: string, what: string): T {
  const text = read(file, what);
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new Error(`The ${what} in ${file} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

function read(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new Error(`Cannot read the ${what} ${file}: ${(cause as Error).message}`, { cause });
  }
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

await main().catch(fail);
