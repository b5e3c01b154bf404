import { openBus } from "@millrace/bus";
import { runService } from "@millrace/kit";
import { Config } from "./config.ts";
import { becomeWriter } from "./writer.ts";

await runService("audit", Config, async (scope) => {
  const { config, log } = scope;
  const bus = await openBus(scope);
  scope.use(becomeWriter({ bus, ledgerFile: config.LEDGER_FILE, scope, log }));
});
