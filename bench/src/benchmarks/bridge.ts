import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import path from "node:path";
import type { Bus } from "@millrace/bus";
import { consumerName, OUTCOMES } from "@millrace/contracts";
import { freePort } from "@millrace/local";
import type { BareJobs } from "../processes/bridge-bare.ts";
import { PROJECT, TENANT } from "../processes/bus-job.ts";
import type { OursJobs } from "../processes/bus-ours.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { poll } from "../room/poll.ts";
import { cpuTime } from "../room/process-usage.ts";
import { figure, ratio } from "../room/report.ts";
import { interleave, perRound } from "../room/rounds.ts";
import { answersOk, connectAs, natsSettings, openStage, type Stage } from "../room/services.ts";
import { inSeries, summarize } from "../room/statistics.ts";
import { startWorker } from "../room/worker.ts";

const TOPIC = "predictions";
const ROUTE = "bench";

/**
 * What the bridge adds to the two clients it joins: it empties a filled OUTCOMES stream into the local Service Bus,
 * against a bare consume loop and a bare SDK send loop one after the other.
 */
export const bridge: Benchmark = {
  about: "outcomes/s into Service Bus, against a bare consume loop and a bare SDK send loop in series",
  async run({ quick }) {
    const messages = quick ? 2_000 : 15_000;
    const rounds = quick ? 3 : 5;
    await using stage = await openStage();
    await using operator = await connectAs(stage.nats, "operator");
    const serviceBus = await startServiceBus(stage);
    const nats = (user: "ingest" | "inference" | "operator") => ({
      BENCH_NATS_URL: stage.nats.url,
      BENCH_NATS_USER: user,
      BENCH_NATS_PASSWORD: stage.nats.passwordOf(user),
    });
    const here = (name: string) => new URL(`../processes/${name}.ts`, import.meta.url);
    await using requests = await startWorker<OursJobs>(here("bus-ours"), { env: nats("ingest") });
    await using outcomes = await startWorker<OursJobs>(here("bus-ours"), { env: nats("inference") });
    await using bare = await startWorker<BareJobs>(here("bridge-bare"), {
      env: { ...nats("operator"), BENCH_SERVICEBUS: serviceBus, BENCH_TOPIC: TOPIC },
    });
    const fill = async () => {
      await requests.call("publish", { model: "bridge", messages, atOnce: 512 });
      await outcomes.call("drain", { model: "bridge", messages });
    };
    await fill(); // what the bare loops read and send, in every round
    const bridgePid = await startBridge(stage, serviceBus);
    await drained(operator, messages);

    const rate = (elapsed_ms: number) => (messages / elapsed_ms) * 1_000;
    let filled = messages;
    const samples = await interleave(
      {
        async bridge() {
          // Stopped while the stream fills, so that it finds all of it at once.
          process.kill(bridgePid, "SIGSTOP");
          await fill();
          filled += messages;
          const before = cpuTime(bridgePid);
          const started = performance.now();
          process.kill(bridgePid, "SIGCONT");
          await drained(operator, filled);
          const elapsed_ms = performance.now() - started;
          return { rate: rate(elapsed_ms), cpu_us: ((cpuTime(bridgePid) - before) * 1_000) / messages };
        },
        consume: async () => timed(bare.pid, messages, () => bare.call("consume", { messages })),
        send: async () => timed(bare.pid, messages, () => bare.call("send", { messages })),
      },
      { rounds },
    );
    return {
      rounds,
      figures: [
        figure("bridge", "messages/s", summarize(samples.bridge.map((of) => of.rate))),
        figure("(a) bare consume loop", "messages/s", summarize(samples.consume.map((of) => of.rate))),
        figure("(b) bare SDK send loop", "messages/s", summarize(samples.send.map((of) => of.rate))),
        figure(
          "(a) and (b) in series",
          "messages/s",
          perRound(samples, (of) => inSeries([of.consume.rate, of.send.rate])),
        ),
        figure("bridge, CPU", "µs/message", summarize(samples.bridge.map((of) => of.cpu_us))),
        figure(
          "(a) + (b), CPU",
          "µs/message",
          perRound(samples, (of) => of.consume.cpu_us + of.send.cpu_us),
        ),
      ],
      ratios: [
        ratio(
          "bridge / 1/(1/a + 1/b)",
          "of its two clients in series",
          perRound(samples, (of) => of.bridge.rate / inSeries([of.consume.rate, of.send.rate])),
        ),
      ],
      notes: [
        `${messages} outcomes a round; sends of up to 256 messages, eight at once, on both sides`,
        "the local Service Bus writes each send to disk and detects duplicates; nobody receives meanwhile",
      ],
    };
  },
};

async function timed(pid: number, messages: number, run: () => Promise<number>) {
  const before = cpuTime(pid);
  const elapsed_ms = await run();
  return { rate: (messages / elapsed_ms) * 1_000, cpu_us: ((cpuTime(pid) - before) * 1_000) / messages };
}

/** Waits until the bridge has settled this many outcomes since it began. */
const drained = (operator: Bus, settled: number): Promise<void> =>
  poll(
    async () => {
      const info = await operator.jsm.consumers.info(OUTCOMES.name, consumerName.bridge(ROUTE));
      return info.ack_floor.consumer_seq >= settled && info.num_pending === 0;
    },
    { within_ms: 60_000, every_ms: 10 },
  );

async function startServiceBus(stage: Stage): Promise<string> {
  const port = await freePort();
  const key = randomBytes(32).toString("base64");
  const config = path.join(stage.directory, "servicebus.json");
  const topic = {
    Name: TOPIC,
    Properties: { RequiresDuplicateDetection: true, DuplicateDetectionHistoryTimeWindow: "P1D" },
    Subscriptions: [{ Name: "bench" }],
  };
  await writeFile(config, JSON.stringify({ UserConfig: { Namespaces: [{ Name: "bench", Topics: [topic] }] } }));
  await stage.start({
    name: "servicebus",
    module: "packages/servicebus/src/main.ts",
    env: {
      CONFIG_FILE: config,
      PORT: String(port),
      HOST: "127.0.0.1",
      DATA_DIR: path.join(stage.directory, "servicebus"),
      SHARED_ACCESS_KEY: key,
    },
    isReady: () => accepts(port),
  });
  return `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${key};UseDevelopmentEmulator=true`;
}

async function startBridge(stage: Stage, connectionString: string): Promise<number> {
  const health = await freePort();
  const routes = path.join(stage.directory, "routes.json");
  await writeFile(
    routes,
    JSON.stringify({ routes: [{ name: ROUTE, tenant: TENANT, project: PROJECT, topic: TOPIC }] }),
  );
  const bridge = await stage.start({
    name: "bridge",
    module: "services/bridge/src/main.ts",
    env: {
      ...natsSettings(stage.nats, "bridge"),
      SERVICEBUS_CONNECTION_STRING: connectionString,
      ROUTES_FILE: routes,
      HEALTH_PORT: String(health),
    },
    isReady: () => answersOk(`http://127.0.0.1:${health}/readyz`),
  });
  return bridge.pid!;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
