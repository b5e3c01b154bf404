export {
  type Administration,
  type EntityKind,
  type EntitySettings,
  type EntityState,
  openAdministration,
  type Rule,
  type RuleState,
  type SubscriptionState,
} from "./administration.ts";
export { AdministrationError, type AdministrationFailureKind } from "./administration-failure.ts";
export { type BlobAddress, type Blobs, openBlobs } from "./blobs.ts";
export { blobServiceUrl, keyVaultUrl, namespaceName } from "./cloud.ts";
export { credential } from "./credential.ts";
export { type SendFailure, type SendFailureKind, toFailure } from "./failure.ts";
export type { LockedMessage, ReceivedMessage, Settled } from "./locked-message.ts";
export type { PeekedMessage } from "./peek.ts";
export type { MessageOrigin } from "./receiver.ts";
export { pathOf, REDRIVE_PROPERTIES } from "./redrive.ts";
export * from "./secrets.ts";
export type { OutgoingMessage, Sender, SendResult } from "./sender.ts";
export { openServiceBus, type ServiceBus, type ServiceBusAddress, type ServiceBusOptions } from "./service-bus.ts";
