export { credential } from "./credential.ts";
export type { SendFailure, SendFailureKind } from "./failure.ts";
export { readSecret, type SecretSource } from "./secret.ts";
export {
  type OutgoingMessage,
  openServiceBus,
  type Sender,
  type SendResult,
  type ServiceBus,
  type ServiceBusAddress,
} from "./service-bus.ts";
