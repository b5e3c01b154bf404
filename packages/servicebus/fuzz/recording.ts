import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { ServiceBusClient } from "@azure/service-bus";
import { noRenewal, one } from "../src/testing/local-broker.ts";

/** What the SDK sent in a conversation that went well, one stream for each of its connections. */
export async function recordConversation(options: { port: number; connectionString: string }): Promise<Buffer[]> {
  const streams: Buffer[][] = [];
  const relay = createServer((client) => {
    const stream: Buffer[] = [];
    streams.push(stream);
    const broker = connect({ host: "127.0.0.1", port: options.port });
    client.on("data", (chunk: Buffer) => void stream.push(chunk));
    client.pipe(broker).pipe(client);
    client.on("error", () => broker.destroy());
    broker.on("error", () => client.destroy());
  });
  relay.listen({ host: "127.0.0.1", port: 0 });
  await once(relay, "listening");
  const { port } = relay.address() as AddressInfo;
  const connectionString = options.connectionString.replace(/:\d+;/, `:${port};`);
  for (const talk of [talkAboutMessages, talkAboutSessions]) {
    const client = new ServiceBusClient(connectionString);
    await talk(client);
    await client.close();
  }
  relay.close();
  return streams.map((stream) => Buffer.concat(stream));
}

async function talkAboutMessages(client: ServiceBusClient): Promise<void> {
  const sender = client.createSender("work");
  const applicationProperties = { text: "t", number: 1, yes: true };
  await sender.sendMessages({ body: "one", messageId: "1", subject: "s", applicationProperties });
  await sender.sendMessages([{ body: { a: [1, 2, 3] } }, { body: Buffer.alloc(2_000) }, { body: "four" }]);
  const [number] = await sender.scheduleMessages([{ body: "later" }], new Date(Date.now() + 3_600_000));
  await sender.cancelScheduledMessages(number!);
  const receiver = client.createReceiver("work", noRenewal);
  await receiver.peekMessages(10);
  await receiver.completeMessage(await one(receiver));
  await receiver.abandonMessage(await one(receiver), { tried: 1 });
  const deferred = await one(receiver);
  await receiver.renewMessageLock(deferred);
  await receiver.deferMessage(deferred);
  await receiver.receiveDeferredMessages(deferred.sequenceNumber!);
  await receiver.deadLetterMessage(await one(receiver), { deadLetterReason: "r", deadLetterErrorDescription: "d" });
  await client.createSender("news").sendMessages({ body: "n", applicationProperties });
  await one(client.createReceiver("news", "all", { receiveMode: "receiveAndDelete" }));
  const rules = client.createRuleManager("news", "all");
  await rules.createRule("r", { sqlExpression: "number > 5" });
  await rules.deleteRule("r");
}

async function talkAboutSessions(client: ServiceBusClient): Promise<void> {
  await client.createSender("sessions").sendMessages({ body: "s", sessionId: "a" });
  const receiver = await client.acceptNextSession("sessions", noRenewal);
  await receiver.setSessionState(Buffer.from("state"));
  await receiver.getSessionState();
  await receiver.renewSessionLock();
  await receiver.completeMessage(await one(receiver));
}
