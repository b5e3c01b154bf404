import { setTimeout as sleep } from "node:timers/promises";
import { openServiceBus } from "@millrace/azure";
import { consumeOutcomes, openBus } from "@millrace/bus";
import { consumerName } from "@millrace/contracts";
import { Counter, runService } from "@millrace/kit";
import { readRoutes } from "./adapters/routes-file.ts";
import { Config, serviceBusAddress } from "./config.ts";
import { onOutcomeStored } from "./handlers/outcome-stored.ts";

await runService("bridge", Config, async (scope) => {
  const { config, log } = scope;
  const routes = await readRoutes(config.ROUTES_FILE);
  const serviceBus = scope.use(await openServiceBus(serviceBusAddress(config)));
  const bus = await openBus(scope);
  const messages = new Counter({
    name: "millrace_bridge_messages_total",
    help: "Messages by route and result: sent, or held because Service Bus did not take them yet",
    labelNames: ["route", "result"],
    registers: [scope.metrics],
  });

  for (const { name, topic, ...filter } of routes) {
    const sender = scope.use(serviceBus.sender(topic));
    let broken: string | undefined;
    const handle = onOutcomeStored({
      route: name,
      link: sender,
      signal: scope.signal,
      wait: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {}),
      onTry({ sent, held, why }) {
        messages.inc({ route: name, result: "sent" }, sent);
        messages.inc({ route: name, result: "held" }, held);
        if (why !== broken) {
          if (why) log.warn({ route: name, topic, held, why }, "Service Bus does not take messages; holding them");
          else log.info({ route: name, topic }, "Service Bus takes messages again");
        }
        broken = why;
      },
    });
    const consumption = scope.use(
      await consumeOutcomes(
        bus,
        {
          durable: consumerName.bridge(name),
          filter,
          batch_max: config.BATCH_MESSAGES_MAX,
          concurrency: config.BATCHES_IN_FLIGHT,
          deliveries_max: Number.POSITIVE_INFINITY, // restarts while Service Bus is away are not the message's fault
          effect: { channel: "servicebus", destination: name },
        },
        handle,
      ),
    );
    scope.health.check(`outcomes of ${name}`, () => ({ ok: consumption.healthy }));
    scope.health.check(`service bus ${topic}`, () => (broken ? { ok: false, detail: broken } : { ok: true }));
  }
});
