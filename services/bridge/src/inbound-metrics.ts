import { Counter, Gauge, type Registry } from "@millrace/kit";

export type InboundMetrics = ReturnType<typeof inboundMetrics>;

/** What is counted of all sources. */
export const inboundMetrics = (registry: Registry) => ({
  messages: new Counter({
    name: "millrace_bridge_inbound_messages_total",
    help: "Messages by source and what became of them: received, completed, dead-lettered, abandoned, lock lost, unsettled",
    labelNames: ["source", "result"],
    registers: [registry],
  }),
  held: new Gauge({
    name: "millrace_bridge_inbound_held",
    help: "Messages in hand that ingest does not take now, by source",
    labelNames: ["source"],
    registers: [registry],
  }),
  replies: new Counter({
    name: "millrace_bridge_replies_total",
    help: "Replies by source and result: sent, or failed, of which most are tried again",
    labelNames: ["source", "result"],
    registers: [registry],
  }),
});
