export type { ClusterAnswer, ClusterCommand } from "./cluster-commands.ts";
export { type Delivery, startWebhookReceiver, type WebhookReceiver } from "./demo/webhook-receiver.ts";
export { openLink } from "./link.ts";
export { type ClusterNode, type NatsCluster, type NatsClusterOptions, startNatsCluster } from "./nats-cluster.ts";
export { type NatsServer, type NatsServerOptions, startNatsServer } from "./nats-server.ts";
export { ManagedProcess } from "./processes/managed-process.ts";
export { freePort, freePortFrom } from "./processes/ports.ts";
export { type Reaper, startReaper } from "./processes/reaper.ts";
export type { Run } from "./run-file.ts";
