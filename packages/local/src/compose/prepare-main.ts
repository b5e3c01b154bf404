import { prepare } from "./prepare.ts";
import { emulator } from "./routes.ts";
import type { VaultChoice } from "./volumes.ts";

/*
 * The container `prepare`: fills the volumes of the others and ends.
 *   DATA_DIR=/data VOLUMES_DIR=/volumes MODELS=/app/models KEY_VAULT=local node prepare.js
 */
const { DATA_DIR = "/data", VOLUMES_DIR = "/volumes", MODELS = "/app/models", KEY_VAULT = "local" } = process.env;

try {
  const models = await prepare({
    dataDir: DATA_DIR,
    volumesDir: VOLUMES_DIR,
    models: MODELS.split(":").filter(Boolean),
    vault: vaultChoice(KEY_VAULT),
  });
  console.log(JSON.stringify({ event: "prepared", models, emulator_narrowed: emulator().warnings }));
} catch (error) {
  console.error(`The volumes could not be prepared: ${(error as Error).message}`);
  process.exitCode = 1;
}

/** `local`, `none`, or the URL of a vault at Azure. @throws when it is none of these */
function vaultChoice(text: string): VaultChoice {
  if (text === "local") return { local: true };
  if (text === "none" || text === "") return "none";
  const url = URL.parse(text);
  if (url?.protocol !== "https:" || url.username !== "")
    throw new Error(`KEY_VAULT is "${text}": it is local, none, or the URL of a vault, https://NAME.vault.azure.net`);
  return { url: url.origin };
}
