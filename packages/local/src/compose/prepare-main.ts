import { prepare } from "./prepare.ts";
import { emulator } from "./routes.ts";
import { vaultChoice } from "./vault-choice.ts";

/*
 * The container `prepare`: fills the volumes of the others and ends.
 *   DATA_DIR=/data VOLUMES_DIR=/volumes MODELS=/app/models KEY_VAULT=local node prepare.js
 */
const { DATA_DIR = "/data", VOLUMES_DIR = "/volumes", MODELS = "/app/models", KEY_VAULT = "local" } = process.env;
/** Set to `emulator` where Microsoft's runs: then it is said what it cannot do as well as Azure. */
const { SERVICE_BUS } = process.env;

try {
  const models = await prepare({
    dataDir: DATA_DIR,
    volumesDir: VOLUMES_DIR,
    models: MODELS.split(":").filter(Boolean),
    vault: vaultChoice(KEY_VAULT),
  });
  const narrowed = SERVICE_BUS === "emulator" ? { emulator_narrowed: emulator().warnings } : {};
  console.log(JSON.stringify({ event: "prepared", models, ...narrowed }));
} catch (error) {
  console.error(`The volumes could not be prepared: ${(error as Error).message}`);
  process.exitCode = 1;
}
