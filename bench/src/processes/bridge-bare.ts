/** The baselines of the `bridge` benchmark: what the two clients that the bridge joins reach, each alone. */

// biome-ignore lint/style/noRestrictedImports: the baseline is the bare SDK, not our use of it
import { ServiceBusClient, type ServiceBusMessage } from "@azure/service-bus";
import { inboxPrefix, OUTCOMES } from "@millrace/contracts";
import { AckPolicy, connect, DeliverPolicy, type JsMsg, nanos } from "nats";
import { serve } from "../room/worker.ts";
import { concurrently } from "./concurrently.ts";

const { BENCH_NATS_URL: servers = "", BENCH_NATS_USER: user = "", BENCH_NATS_PASSWORD: pass = "" } = process.env;
const nc = await connect({ servers, user, pass, inboxPrefix: inboxPrefix(user) });
const js = nc.jetstream();
const jsm = await nc.jetstreamManager();
const client = new ServiceBusClient(process.env.BENCH_SERVICEBUS ?? "");
const sender = client.createSender(process.env.BENCH_TOPIC ?? "");

/** As many as the bridge takes at once and sends at once. */
const MESSAGES_OF_ONE_SEND = 256;
const SENDS_IN_FLIGHT = 8;
let rounds = 0;
let bodies: { body: Buffer; headers: ReadonlyMap<string, string> }[] = [];

const jobs = {
  /** Reads the first messages of OUTCOMES with a fresh durable and acks each; answers the time in ms. */
  async consume({ messages }: { messages: number }): Promise<number> {
    const durable = `bare-${rounds++}`;
    await jsm.consumers.add(OUTCOMES.name, {
      durable_name: durable,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: nanos(30_000),
      max_ack_pending: 10_000,
    });
    const consumer = await js.consumers.get(OUTCOMES.name, durable);
    const taken: JsMsg[] = [];
    const started = performance.now();
    const pull = await consumer.consume({ max_messages: 1_024 });
    for await (const message of pull) {
      message.ack();
      taken.push(message);
      if (taken.length === messages) pull.stop();
    }
    await nc.flush();
    const elapsed_ms = performance.now() - started;
    await jsm.consumers.delete(OUTCOMES.name, durable);
    bodies = taken.map((message) => ({
      body: Buffer.from(message.data),
      headers: new Map(message.headers?.keys().map((name) => [name, message.headers!.get(name)])),
    }));
    return elapsed_ms;
  },

  /** Sends the messages read last in batches, as the SDK's documentation does; answers the time in ms. */
  async send({ messages }: { messages: number }): Promise<number> {
    if (bodies.length !== messages) await jobs.consume({ messages });
    const round = rounds++;
    const started = performance.now();
    await concurrently(Math.ceil(messages / MESSAGES_OF_ONE_SEND), SENDS_IN_FLIGHT, async (index) => {
      const first = index * MESSAGES_OF_ONE_SEND;
      let batch = await sender.createMessageBatch();
      for (let i = first; i < Math.min(messages, first + MESSAGES_OF_ONE_SEND); i++) {
        const message = toMessage(i, round);
        if (batch.tryAddMessage(message)) continue;
        await sender.sendMessages(batch);
        batch = await sender.createMessageBatch();
        if (!batch.tryAddMessage(message)) throw new Error("a message is larger than an empty batch");
      }
      await sender.sendMessages(batch);
    });
    return performance.now() - started;
  },
};
export type BareJobs = typeof jobs;

serve(jobs, async () => {
  await client.close();
  await nc.drain();
});

/** As many properties as the bridge sends; a fresh id in each round, for the topic detects duplicates. */
function toMessage(index: number, round: number): ServiceBusMessage {
  const { body, headers } = bodies[index]!;
  const applicationProperties: Record<string, string | number> = {
    tenant: "bench",
    project: "bus",
    model: "bridge",
    modelVersion: "1",
    state: "done",
    requestDigest: `sha256:${"0".repeat(64)}`,
    requestSequence: index,
  };
  for (const [name, value] of headers)
    if (name.startsWith("ce-")) applicationProperties[`cloudEvents:${name.slice(3)}`] = value;
  return {
    messageId: `${headers.get("ce-id")}:${round}`,
    correlationId: "bench",
    subject: "inference.completed",
    contentType: "application/json",
    body,
    applicationProperties,
  };
}
