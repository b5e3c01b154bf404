import { readFileSync } from "node:fs";
import { type AzureConfig, readAzureConfig } from "./config.ts";
import { type Identity, startIdentity } from "./identity.ts";
import { startVault } from "./vault.ts";

/*
 * The local side of Azure as a process:
 *   AZURE_FILE=config.json node src/azure/main.ts
 * Prints one JSON line once it listens, makes a new signing key on SIGHUP, ends on SIGTERM and SIGINT.
 */
async function main(config: AzureConfig): Promise<void> {
  const stack = new AsyncDisposableStack();
  const identity = stack.use(await startIdentity(config.identity));
  const vault = config.vault && stack.use(await openVault(config.vault, identity));
  const say = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);
  say({ event: "listening", identity_port: identity.port, ...(vault && { vault_port: vault.port }) });
  process.on("SIGHUP", () => {
    identity.rotate().then(() => say({ event: "a new signing key is in use; the one before it is still good" }), fail);
  });
  const stop = () => void stack.disposeAsync().then(() => process.exit(0), fail);
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

function openVault(vault: NonNullable<AzureConfig["vault"]>, { issuer, jwksUri }: Identity) {
  const { keyFile, certificateFile, ...rest } = vault;
  const [key, certificate] = [keyFile, certificateFile].map((file) => readFileSync(file, "utf8"));
  return startVault({ ...rest, key: key!, certificate: certificate!, issuer, jwksUri });
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
