import type { ServiceBusClient, ServiceBusReceiver, ServiceBusSessionReceiver } from "@azure/service-bus";
import type { Settings } from "./settings.ts";

export type Source = Settings["source"];

const options = {
  receiveMode: "peekLock",
  skipParsingBodyAsJson: true, // the bytes as they were sent: the digest is over bytes, and binary outputs are not JSON
  maxAutoLockRenewalDurationInMs: 5 * 60_000, // longer than handling one message may take
} as const;

export const createReceiver = (client: ServiceBusClient, [entity, subscription]: Source): ServiceBusReceiver =>
  subscription === undefined
    ? client.createReceiver(entity, options)
    : client.createReceiver(entity, subscription, options);

/** The next session that has messages and that nobody else holds. @throws ServiceBusError when there is none for a while */
export const nextSession = (
  client: ServiceBusClient,
  [entity, subscription]: Source,
): Promise<ServiceBusSessionReceiver> =>
  subscription === undefined
    ? client.acceptNextSession(entity, options)
    : client.acceptNextSession(entity, subscription, options);
