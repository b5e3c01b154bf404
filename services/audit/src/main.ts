import { connectBus } from "@millrace/bus";
import { createLogger, loadConfig, runService } from "@millrace/kit";
import { Config } from "./config.ts";
import { becomeWriter } from "./writer.ts";

const config = loadConfig(Config);
const log = createLogger("audit", config.LOG_LEVEL);

await runService(
  {
    name: "audit",
    log,
    graceMs: config.GRACE_MS,
    health: { host: config.HEALTH_HOST, port: config.HEALTH_PORT },
  },
  async (scope) => {
    const { NATS_URL: url, NATS_USER: user, NATS_PASSWORD: password } = config;
    const bus = scope.use(await connectBus({ url, user, password, log }));
    scope.health.check("nats", () => (bus.connected ? { ok: true } : { ok: false, detail: "not connected" }));
    scope.use(becomeWriter({ bus, ledgerFile: config.LEDGER_FILE, scope, log }));
  },
);
