import { createLogger, loadConfig } from "@millrace/kit";
import Type from "typebox";
import { connectBus } from "./bus.ts";
import { measureDurability, recordDurability } from "./durability.ts";
import { provision } from "./provision.ts";

/** The deployment job: makes streams and buckets, reads what the broker guarantees, and exits. */
const Config = Type.Object({
  NATS_URL: Type.String({ description: "nats://host:port, comma-separated for a cluster" }),
  NATS_USER: Type.String({ default: "operator" }),
  NATS_PASSWORD: Type.String({ minLength: 1 }),
  NATS_SYSTEM_USER: Type.String({ default: "system", description: "user of the system account, for durability" }),
  NATS_SYSTEM_PASSWORD: Type.String({ minLength: 1 }),
  REPLICAS: Type.Union([Type.Literal(1), Type.Literal(3)], { default: 1 }),
});

const log = createLogger("provision");
try {
  const config = loadConfig(Config);
  await using bus = await connectBus({
    url: config.NATS_URL,
    user: config.NATS_USER,
    password: config.NATS_PASSWORD,
    log,
  });
  await provision(bus, { replicas: config.REPLICAS });
  await using system = await connectBus({
    url: config.NATS_URL,
    user: config.NATS_SYSTEM_USER,
    password: config.NATS_SYSTEM_PASSWORD,
    log,
  });
  const facts = await measureDurability(bus, system);
  await recordDurability(bus, facts);
  log.info(facts, "streams and buckets are as declared");
} catch (err) {
  log.fatal({ err }, "provisioning failed");
  process.exitCode = 1;
}
