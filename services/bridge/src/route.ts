import { consumeOutcomes } from "@millrace/bus";
import { consumerName, type Route } from "@millrace/contracts";
import type { Scope } from "@millrace/kit";
import { pause } from "./adapters/pause.ts";
import type { Config } from "./config.ts";
import { claimCheck } from "./domain/claim.ts";
import { Outbox, type OutboxReport } from "./domain/outbox.ts";
import { entityOf } from "./domain/routes.ts";
import type { Throttle } from "./domain/throttle.ts";
import type { BlockedReason } from "./domain/trouble.ts";
import { onOutcomeStored } from "./handlers/outcome-stored.ts";
import type { BridgeMetrics } from "./metrics.ts";
import type { OutboundOptions } from "./outbound.ts";

/** A route at work. Disposing it lets sends under way end, and gives back what is held. */
export type OpenRoute = AsyncDisposable & {
  health(): { ok: boolean; detail?: string };
};

export type RouteOptions = Pick<OutboundOptions, "bus" | "serviceBus" | "blobs"> & {
  route: Route;
  throttle: Throttle;
  metrics: BridgeMetrics;
};

/** Opens a route's durable consumer, which goes on where it was, and its link, which is made on first use. */
export async function openRoute(
  { config, log }: Scope<Config>,
  { bus, serviceBus, blobs, throttle, metrics, route }: RouteOptions,
): Promise<OpenRoute> {
  const { name, begin = "all" } = route;
  const entity = entityOf(route);
  await using opening = new AsyncDisposableStack();
  const link = opening.use(serviceBus.sender(entity));
  let last: OutboxReport | undefined;
  const outbox = new Outbox({
    link,
    throttle,
    messages_max: config.BATCH_MESSAGES_MAX,
    sends_max: config.BATCHES_IN_FLIGHT,
    ...(blobs ? { claim: (message) => claimCheck(blobs, message) } : {}),
    now: () => performance.now(),
    wait: pause,
    onReport(report) {
      metrics.report(name, report);
      const said = sentence(report);
      if (said !== sentence(last)) {
        const { held, state, blocked } = report;
        if (said)
          log.warn(
            { route: name, entity, held, state, blocked, why: said },
            "Service Bus does not take messages; holding them",
          );
        else log.info({ route: name, entity }, "Service Bus takes messages again");
      }
      last = report;
    },
  });
  const consumption = opening.use(
    await consumeOutcomes(
      bus,
      {
        durable: consumerName.bridge(name),
        filter: filterOf(route),
        begin,
        in_order: route.message?.session_id !== undefined,
        batch_max: config.BATCH_MESSAGES_MAX,
        // A batch that makes many messages sends them in parts, which those of the next batch must not come between.
        concurrency: route.message?.per === "row" ? 1 : config.BATCHES_IN_FLIGHT,
        deliveries_max: Number.POSITIVE_INFINITY, // restarts while Service Bus is away are not the message's fault
        effect: { channel: "servicebus", destination: name },
      },
      onOutcomeStored({ route, outbox }),
    ),
  );
  opening.defer(() => outbox.stop());
  const opened = opening.move();
  return {
    health() {
      if (!consumption.healthy) return { ok: false, detail: "OUTCOMES cannot be read" };
      const why = sentence(last);
      return why === undefined ? { ok: true } : { ok: false, detail: `Service Bus ${entity}: ${why}` };
    },
    async [Symbol.asyncDispose]() {
      await opened.disposeAsync();
      metrics.forget(name);
    },
  };
}

/** Why nothing can be sent, once that is more than a moment's trouble; a probe under way is none. */
function sentence(report: OutboxReport | undefined): string | undefined {
  if (report === undefined || report.state === "closed") return undefined;
  return report.blocked === undefined ? report.why : `${BLOCKED[report.blocked]} (${report.why})`;
}

/** What has to be done, as an operator reads it. */
const BLOCKED: Readonly<Record<BlockedReason, string>> = {
  missing: "there is no such topic or queue: make it (`millrace azure plan` shows how)",
  disabled: "the topic or queue is disabled: enable it",
  full: "the topic or queue is full: let its consumers take what it holds, or enlarge it",
  unauthorized: "the bridge may not send there: give its identity the role Azure Service Bus Data Sender",
};

function filterOf({ tenant, project, model, state }: Route) {
  return {
    ...(tenant === undefined ? {} : { tenant }),
    ...(project === undefined ? {} : { project }),
    ...(model === undefined ? {} : { model }),
    ...(state === undefined ? {} : { state }),
  };
}
