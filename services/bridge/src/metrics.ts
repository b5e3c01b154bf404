import { Counter, type Registry } from "@millrace/kit";

export type BridgeMetrics = ReturnType<typeof bridgeMetrics>;

/** What is counted of all routes. */
export const bridgeMetrics = (registry: Registry) => ({
  messages: new Counter({
    name: "millrace_bridge_messages_total",
    help: "Messages by route and result: sent, or held because Service Bus did not take them yet",
    labelNames: ["route", "result"],
    registers: [registry],
  }),
});
