import { ServiceBusClient } from "@azure/service-bus";
import type { Settings } from "./settings.ts";

/** Tries of the SDK within one call; around them, this program goes on for as long as it runs. */
const options = { retryOptions: { maxRetries: 3, retryDelayInMs: 500, maxRetryDelayInMs: 5_000, timeoutInMs: 15_000 } };

/** In Azure: the managed identity of where it runs, or a developer's sign-in. It needs the role Azure Service Bus Data Receiver. */
export async function openClient({ address }: Settings): Promise<ServiceBusClient> {
  if ("connectionString" in address) return new ServiceBusClient(address.connectionString, options);
  const { DefaultAzureCredential } = await import("@azure/identity");
  return new ServiceBusClient(address.namespace, new DefaultAzureCredential(), options);
}
