import { consumeOutcomes } from "@millrace/bus";
import { consumerName, type Route } from "@millrace/contracts";
import type { Scope } from "@millrace/kit";
import { pause } from "./adapters/pause.ts";
import type { Config } from "./config.ts";
import { entityOf } from "./domain/routes.ts";
import { onOutcomeStored } from "./handlers/outcome-stored.ts";
import type { BridgeMetrics } from "./metrics.ts";
import type { OutboundOptions } from "./outbound.ts";

/** A route at work. Disposing it lets sends under way end, and gives back what is held. */
export type OpenRoute = AsyncDisposable & {
  readonly route: Route;
  health(): { ok: boolean; detail?: string };
};

/** Opens a route's durable consumer, which goes on where it was, and its link, which is made on first use. */
export async function openRoute(
  { config, log }: Scope<Config>,
  {
    bus,
    serviceBus,
    metrics,
    route,
  }: Pick<OutboundOptions, "bus" | "serviceBus"> & { metrics: BridgeMetrics; route: Route },
): Promise<OpenRoute> {
  const { name, begin = "all" } = route;
  const entity = entityOf(route);
  await using opening = new AsyncDisposableStack();
  const sender = opening.use(serviceBus.sender(entity));
  const stopping = new AbortController();
  let broken: string | undefined;
  const handle = onOutcomeStored({
    route: name,
    link: sender,
    signal: stopping.signal,
    wait: pause,
    onTry({ sent, held, why }) {
      metrics.messages.inc({ route: name, result: "sent" }, sent);
      metrics.messages.inc({ route: name, result: "held" }, held);
      if (why !== broken) {
        if (why) log.warn({ route: name, entity, held, why }, "Service Bus does not take messages; holding them");
        else log.info({ route: name, entity }, "Service Bus takes messages again");
      }
      broken = why;
    },
  });
  const consumption = opening.use(
    await consumeOutcomes(
      bus,
      {
        durable: consumerName.bridge(name),
        filter: filterOf(route),
        begin,
        batch_max: config.BATCH_MESSAGES_MAX,
        concurrency: config.BATCHES_IN_FLIGHT,
        deliveries_max: Number.POSITIVE_INFINITY, // restarts while Service Bus is away are not the message's fault
        effect: { channel: "servicebus", destination: name },
      },
      handle,
    ),
  );
  opening.defer(() => stopping.abort());
  const opened = opening.move();
  return {
    route,
    health() {
      if (!consumption.healthy) return { ok: false, detail: "OUTCOMES cannot be read" };
      return broken === undefined ? { ok: true } : { ok: false, detail: `Service Bus ${entity}: ${broken}` };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function filterOf({ tenant, project, model, state }: Route) {
  return {
    ...(tenant === undefined ? {} : { tenant }),
    ...(project === undefined ? {} : { project }),
    ...(model === undefined ? {} : { model }),
    ...(state === undefined ? {} : { state }),
  };
}
