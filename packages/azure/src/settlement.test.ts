import { ServiceBusClient, type ServiceBusReceivedMessage } from "@azure/service-bus";
import { start } from "@millrace/servicebus";
import { expect, test } from "vitest";

const config = { UserConfig: { Namespaces: [{ Queues: [{ Name: "work" }] }] } };

/* rhea 3.0.5, under the SDK, wrote the outcome of the first for both: see patchedDependencies in pnpm-workspace.yaml. */
test("messages that are settled in one turn of the event loop each keep their own outcome", async () => {
  await using local = await start({ port: 0, host: "127.0.0.1", config });
  const client = new ServiceBusClient(local.connectionString);
  const names = ["complete", "dead-1", "dead-2", "complete", "complete", "dead-3", "complete", "abandon"];
  await client.createSender("work").sendMessages(names.map((name, n) => ({ body: n, messageId: name })));
  const receiver = client.createReceiver("work");
  const messages: ServiceBusReceivedMessage[] = [];
  while (messages.length < names.length)
    messages.push(...(await receiver.receiveMessages(names.length, { maxWaitTimeInMs: 5_000 })));

  await Promise.all(
    messages.map((message) => {
      const name = String(message.messageId);
      if (name === "complete") return receiver.completeMessage(message);
      if (name === "abandon") return receiver.abandonMessage(message);
      return receiver.deadLetterMessage(message, { deadLetterReason: name, deadLetterErrorDescription: "a test" });
    }),
  );

  const dead = await client
    .createReceiver("work", { subQueueType: "deadLetter" })
    .receiveMessages(3, { maxWaitTimeInMs: 5_000 });
  expect(dead.map(({ messageId, deadLetterReason }) => [messageId, deadLetterReason])).toEqual([
    ["dead-1", "dead-1"],
    ["dead-2", "dead-2"],
    ["dead-3", "dead-3"],
  ]);
  const [again] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 5_000 });
  expect(again).toMatchObject({ messageId: "abandon", deliveryCount: 1 });
  await client.close();
});
