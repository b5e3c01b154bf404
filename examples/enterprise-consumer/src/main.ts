/*
 * Somebody else's system: it knows nothing of Millrace but a Service Bus topic, and uses nothing but Azure's SDK.
 *
 *   node src/main.ts --run ../../.millrace/run.json        a local Millrace
 *   SERVICEBUS_CONNECTION_STRING=… node src/main.ts         any namespace
 */
import { ServiceBusClient } from "@azure/service-bus";
import { describe } from "./describe.ts";
import { readSource } from "./source.ts";

const source = readSource(process.argv.slice(2), process.env);
const client = new ServiceBusClient(source.connectionString);
const receiver = client.createReceiver(source.topic, source.subscription, {
  skipParsingBodyAsJson: true, // the bytes as they were sent: binary outputs are not JSON, and digests are over bytes
});

// A message whose handler returns is completed; one whose handler throws is abandoned, comes again, and after ten
// failed deliveries waits in the subscription's dead-letter queue.
const subscription = receiver.subscribe(
  {
    async processMessage(message) {
      console.log(describe(message));
    },
    async processError({ error }) {
      console.error(`${error.message} (the SDK goes on trying)`);
    },
  },
  { maxConcurrentCalls: 32 },
);
console.log(`reading ${source.topic}/${source.subscription}; Ctrl-C ends`);

async function stop(): Promise<void> {
  await subscription.close(); // no new messages; those being handled are finished
  await client.close();
}
process.once("SIGINT", () => void stop());
process.once("SIGTERM", () => void stop());
