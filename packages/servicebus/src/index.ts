export { type Certificate, makeCertificate } from "./adapters/local-certificate.ts";
export { BrokerConfig, BrokerConfigError } from "./config.ts";
export type { QueueCounts } from "./domain/queue.ts";
export { EntraSettings } from "./entra-settings.ts";
export { type Fault, FaultError } from "./faults/fault.ts";
export type { FaultReport } from "./faults/faults.ts";
export type { EntityReport } from "./inspection.ts";
export { type Broker, type StartOptions, start } from "./start.ts";
