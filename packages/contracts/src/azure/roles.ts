import type { ServiceName } from "../permissions.ts";

/**
 * Which service may do what in Azure: one table, from which the identities of `npm start` get their roles and those of a
 * deployment too (deploy/bicep). No service has a role that is not here, and none may manage anything.
 */

/** Azure's built-in roles that are given to anybody (services, receivers, the cluster), each with the id of its definition, which is the same in every tenant. */
export const AZURE_ROLES = {
  "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
  "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
  "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
  "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
  "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
  AcrPull: "7f951dda-4ed3-4680-a7ca-43fe172d538d",
  "Network Contributor": "4d97b98b-1d4f-4787-a291-c67834d212e7",
} as const;
export type AzureRole = keyof typeof AZURE_ROLES;

/** On what a role is given: never on a whole namespace, vault or account. */
export type AzureScope =
  /** Each topic and queue that the bridge may send to. */
  | "destinations"
  /** Each queue and subscription that is a source. */
  | "sources"
  /** The container that keeps what is too large for a message. */
  | "large results"
  /** Each secret that the deployment names for the service. */
  | "named secrets";

export type AzureGrant = { service: ServiceName; role: AzureRole; on: AzureScope };

/** A service that is not here needs nothing of Azure: its identity exists, and may do nothing. */
export const AZURE_GRANTS = [
  { service: "bridge", role: "Azure Service Bus Data Sender", on: "destinations" },
  { service: "bridge", role: "Azure Service Bus Data Receiver", on: "sources" },
  { service: "bridge", role: "Storage Blob Data Contributor", on: "large results" },
  { service: "bridge", role: "Key Vault Secrets User", on: "named secrets" },
  { service: "notifier", role: "Key Vault Secrets User", on: "named secrets" },
] as const satisfies readonly AzureGrant[];

/** The services that have a role on such a thing. */
export const holdersOf = (role: AzureRole, on: AzureScope): ServiceName[] =>
  AZURE_GRANTS.filter((grant) => grant.role === role && grant.on === on).map(({ service }) => service);
