import { type AzureConfig, readAzureConfig } from "./config.ts";
import { startIdentity } from "./identity.ts";

/*
 * The local side of Azure as a process:
 *   AZURE_FILE=config.json node src/azure/main.ts
 * Prints one JSON line once it listens, makes a new signing key on SIGHUP, ends on SIGTERM and SIGINT.
 */
async function main(config: AzureConfig): Promise<void> {
  const identity = await startIdentity(config.identity);
  const say = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);
  say({ event: "listening", identity_port: identity.port });
  process.on("SIGHUP", () => {
    identity.rotate().then(() => say({ event: "a new signing key is in use; the one before it is still good" }), fail);
  });
  const stop = () => void identity[Symbol.asyncDispose]().then(() => process.exit(0), fail);
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

try {
  await main(readAzureConfig(process.env.AZURE_FILE));
} catch (error) {
  fail(error);
}
