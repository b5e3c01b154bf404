import { spawn } from "node:child_process";
import { once } from "node:events";
import type { ServiceBusClientJobs } from "../processes/servicebus-client.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { cpuTime, residentMiB } from "../room/process-usage.ts";
import { figure, ratio } from "../room/report.ts";
import { startServiceBusAlone } from "../room/service-bus.ts";
import { median, summarize } from "../room/statistics.ts";
import { startWorker, type Worker } from "../room/worker.ts";

const STARTS = 5;
/** Through the queue in parts of so many, so that memory is read while it is empty. */
const PART = 10_000;
const HELD_QUEUE = { LockDuration: "PT5M", MaxSizeInMegabytes: 4096 };

/**
 * The local Service Bus under one client that does nothing but send, receive and complete: whose core is the limit, what
 * held locks cost the others on a queue, and whether memory grows with what has passed through.
 */
export const servicebus: Benchmark = {
  about: "the local Service Bus under one flat-out SDK client: CPU of both, held locks, memory over many messages",
  async run({ quick, size = quick ? 50_000 : 1_000_000 }) {
    const held = quick ? 10_000 : 100_000;
    const starts = { command: [] as number[], node: [] as number[] };
    for (let round = 0; round < STARTS; round++) {
      starts.node.push(await startBareNode());
      await using broker = await startServiceBusAlone({});
      starts.command.push(broker.startMs);
    }

    await using broker = await startServiceBusAlone(HELD_QUEUE);
    const here = new URL("../processes/servicebus-client.ts", import.meta.url);
    const env = { BENCH_SERVICEBUS: broker.connectionString };
    await using client = await startWorker<ServiceBusClientJobs>(here, { env });
    const measure = (messages: number) => pass(client, broker.pid, messages);
    await measure(PART); // compiled from then on
    const parts: Awaited<ReturnType<typeof measure>>[] = [];
    for (let done = 0; done < size; done += PART) parts.push(await measure(PART));

    const before = parts.slice(-Math.min(5, parts.length));
    const withLocks: typeof parts = [];
    await using holder = await startWorker<ServiceBusClientJobs>(here, { env });
    await client.call("send", { messages: held });
    await holder.call("hold", { messages: held });
    for (let round = 0; round < 5; round++) withLocks.push(await measure(PART));

    const tenth = Math.max(1, Math.floor(parts.length / 10));
    const memory = (some: typeof parts) => Math.max(...some.map((part) => part.memory));
    const of = (pick: (part: (typeof parts)[number]) => number, some = parts) => summarize(some.map(pick));
    return {
      rounds: parts.length,
      figures: [
        figure("start of the command", "ms", summarize(starts.command)),
        figure("start of a bare node", "ms", summarize(starts.node)),
        figure(
          "sent",
          "messages/s",
          of((part) => part.sendRate),
        ),
        figure(
          "received and completed",
          "messages/s",
          of((part) => part.receiveRate),
        ),
        figure(
          "broker while sending",
          "cores",
          of((part) => part.brokerSending),
        ),
        figure(
          "client while sending",
          "cores",
          of((part) => part.clientSending),
        ),
        figure(
          "broker while receiving",
          "cores",
          of((part) => part.brokerReceiving),
        ),
        figure(
          `received with ${held} locks held`,
          "messages/s",
          of((part) => part.receiveRate, withLocks),
        ),
        figure("memory after the first tenth", "MiB", summarize([memory(parts.slice(0, tenth))])),
        figure("memory, last tenth", "MiB", summarize([memory(parts.slice(-tenth))])),
      ],
      ratios: [
        ratio(
          "start / bare node",
          "of a process that does nothing",
          summarize(starts.command.map((ms, n) => ms / starts.node[n]!)),
        ),
        ratio(
          "broker / client",
          "CPU time while sending",
          of((part) => part.brokerSending / part.clientSending),
        ),
        ratio(
          "locks held / none",
          "messages received and completed a second",
          summarize([
            median(withLocks.map((part) => part.receiveRate)) / median(before.map((part) => part.receiveRate)),
          ]),
        ),
        ratio(
          "memory, last / first tenth",
          "of the broker",
          summarize([memory(parts.slice(-tenth)) / memory(parts.slice(0, tenth))]),
        ),
      ],
      notes: [
        `${size} messages of 1 KiB sent in batches of 100, eight in flight, then received and completed, in parts of ${PART}; on disk`,
        "the client's core is the limit as long as the broker stays below one",
      ],
    };
  },
};

async function pass(client: Worker<ServiceBusClientJobs>, broker: number, messages: number) {
  const timed = async (job: "send" | "receive") => {
    const [brokerBefore, clientBefore] = [cpuTime(broker), cpuTime(client.pid)];
    const ms = await client.call(job, { messages });
    return { ms, broker: (cpuTime(broker) - brokerBefore) / ms, client: (cpuTime(client.pid) - clientBefore) / ms };
  };
  const sent = await timed("send");
  const received = await timed("receive");
  return {
    sendRate: (messages / sent.ms) * 1_000,
    receiveRate: (messages / received.ms) * 1_000,
    brokerSending: sent.broker,
    clientSending: sent.client,
    brokerReceiving: received.broker,
    memory: residentMiB(broker),
  };
}

async function startBareNode(): Promise<number> {
  const began = performance.now();
  const child = spawn(process.execPath, ["-e", "console.log(1)"], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const ms = performance.now() - began;
  await once(child, "exit");
  return ms;
}
