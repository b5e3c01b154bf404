import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import tls from "node:tls";
import { ServiceBusAdministrationClient, ServiceBusClient, type ServiceBusReceivedMessage } from "@azure/service-bus";
import { type Broker, type BrokerConfig, start } from "../index.ts";

type Namespace = BrokerConfig["UserConfig"]["Namespaces"][number];

export const configOf = (namespace: Namespace): BrokerConfig => ({ UserConfig: { Namespaces: [namespace] } });

/** A broker on a free port and the unmodified SDK connected to it; both are gone when the test is. */
export async function openBroker(
  config: BrokerConfig,
  options: { dataDir?: string; timeoutInMs?: number; controlToken?: string } = {},
) {
  const broker: Broker = await start({ port: 0, host: "127.0.0.1", config, ...options });
  const client = new ServiceBusClient(broker.connectionString, {
    retryOptions: { maxRetries: 0, timeoutInMs: options.timeoutInMs ?? 5_000 },
  });
  return {
    broker,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await broker.close();
    },
  };
}

export function administrationOf(broker: Broker): ServiceBusAdministrationClient {
  // What an application does with NODE_EXTRA_CA_CERTS, which a process reads once, when it begins.
  tls.setDefaultCACertificates([broker.certificate]);
  return new ServiceBusAdministrationClient(broker.connectionString, { retryOptions: { maxRetries: 0 } });
}

export async function scratchFolder() {
  const dir = await mkdtemp(path.join(tmpdir(), "servicebus-"));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

// The SDK renews locks for 5 minutes by default, which would hide expiry.
export const noRenewal = { maxAutoLockRenewalDurationInMs: 0 } as const;

interface Receives {
  receiveMessages(count: number, options: { maxWaitTimeInMs: number }): Promise<ServiceBusReceivedMessage[]>;
}

export async function one(receiver: Receives): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5_000 });
  if (!message) throw new Error("no message came");
  return message;
}

/** All that comes until `count` are there, or nothing has come for a while. */
export async function some(receiver: Receives, count: number): Promise<ServiceBusReceivedMessage[]> {
  const all: ServiceBusReceivedMessage[] = [];
  while (all.length < count) {
    const more = await receiver.receiveMessages(count - all.length, { maxWaitTimeInMs: 3_000 });
    if (more.length === 0) throw new Error(`${all.length} of ${count} messages came`);
    all.push(...more);
  }
  return all;
}

/** True when nothing comes within a short time. */
export async function nothing(receiver: Receives): Promise<boolean> {
  return (await receiver.receiveMessages(1, { maxWaitTimeInMs: 150 })).length === 0;
}

export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`it did not happen within ${withinMs / 1000} seconds`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
