import { Counter, Gauge, type Registry } from "@millrace/kit";
import type { OutboxReport } from "./domain/outbox.ts";
import { BLOCKED_REASONS } from "./domain/trouble.ts";

export type BridgeMetrics = ReturnType<typeof bridgeMetrics>;

/** What is told of all routes. */
export function bridgeMetrics(registry: Registry) {
  const messages = new Counter({
    name: "millrace_bridge_messages_total",
    help: "Messages by route and result: sent, or held because Service Bus did not take them yet",
    labelNames: ["route", "result"],
    registers: [registry],
  });
  const breaker = new Gauge({
    name: "millrace_bridge_breaker_open",
    help: "1 while sends of a route failed in a row, and only single ones probe its entity",
    labelNames: ["route"],
    registers: [registry],
  });
  const blocked = new Gauge({
    name: "millrace_bridge_route_blocked",
    help: "1 while somebody has to mend something at the route's entity: it is missing, disabled, full, or does not let us in",
    labelNames: ["route", "reason"],
    registers: [registry],
  });
  return {
    report(route: string, { sent, held, state, blocked: why }: OutboxReport) {
      messages.inc({ route, result: "sent" }, sent);
      messages.inc({ route, result: "held" }, held);
      breaker.set({ route }, state === "open" ? 1 : 0);
      for (const reason of BLOCKED_REASONS) blocked.set({ route, reason }, reason === why ? 1 : 0);
    },
    /** A route that ended is not shown any more; what it has sent stays counted. */
    forget(route: string) {
      breaker.remove({ route });
      for (const reason of BLOCKED_REASONS) blocked.remove({ route, reason });
    },
  };
}
