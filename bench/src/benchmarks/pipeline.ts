import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Bus, connectBus, readStreamState } from "@millrace/bus";
import { OUTCOMES } from "@millrace/contracts";
import { createLogger } from "@millrace/kit";
import { startWebhookReceiver } from "@millrace/local";
import { startMillrace } from "@millrace/testkit";
import type { HttpClientJobs } from "../processes/http-client.ts";
import type { Benchmark } from "../room/benchmark.ts";
import { openGenerator } from "../room/http-load.ts";
import { isQuiet, poll } from "../room/poll.ts";
import { inferBody, MANIFEST, readings } from "../room/readings.ts";
import { figure, ratio } from "../room/report.ts";
import { perRound } from "../room/rounds.ts";
import { quantile, summarize } from "../room/statistics.ts";
import { requestsUrl } from "../room/system.ts";
import { startWorker } from "../room/worker.ts";

const CONNECTIONS = 64;
/** The first requests meet cold code everywhere. */
const WARM_UP_S = 2;

/** What one system did: results per second until the last receiver had the last one, and latencies at half of that. */
type Measured = { perSecond: number; p50: number; p99: number };

/**
 * Everything at once, as a user has it: requests over HTTP, inference, ledger, Service Bus topic, and webhooks off or on.
 * A result counts when every receiver has confirmed it: the consumers of ledger, bridge and notifier hold nothing.
 */
export const pipeline: Benchmark = {
  about: "end to end results/s, webhooks off and on; latency from request to outcome at half of that",
  async run({ quick }) {
    const seconds = quick ? 3 : 20;
    const rounds = quick ? 1 : 3;
    const off: Measured[] = [];
    const on: Measured[] = [];
    for (let round = 0; round < rounds; round++) {
      off.push(await measure({ seconds, webhooks: false }));
      on.push(await measure({ seconds, webhooks: true }));
    }
    const of = (some: readonly Measured[], name: keyof Measured) => summarize(some.map((one) => one[name]));
    return {
      rounds,
      figures: [
        figure("end to end, webhooks off", "results/s", of(off, "perSecond")),
        figure("p50 at half of it", "ms", of(off, "p50")),
        figure("p99 at half of it", "ms", of(off, "p99")),
        figure("end to end, a webhook each", "results/s", of(on, "perSecond")),
        figure("p50 at half of it, a webhook each", "ms", of(on, "p50")),
        figure("p99 at half of it, a webhook each", "ms", of(on, "p99")),
      ],
      ratios: [
        ratio(
          "a webhook each / none",
          "of the rate without",
          perRound({ on, off }, ({ on, off }) => on.perSecond / off.perSecond),
        ),
      ],
      notes: [
        `${CONNECTIONS} connections for ${seconds} s, then until every receiver has confirmed the last result; every step behind an fsync`,
        "latency: open loop, from when the request was due until its outcome is in the answer (Prefer: wait)",
      ],
    };
  },
};

async function measure({ seconds, webhooks }: { seconds: number; webhooks: boolean }): Promise<Measured> {
  await using stack = new AsyncDisposableStack();
  let told = 0;
  const receiver = stack.use(await startWebhookReceiver(() => told++));
  const folder = await mkdtemp(path.join(tmpdir(), "millrace-bench-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const rules = path.join(folder, "rules.json");
  const [output] = MANIFEST.outputs;
  const every = {
    name: "every-result",
    tenant: "demo",
    project: "plant-a",
    model: MANIFEST.name,
    when: { output: output!.name, op: ">=", value: -1 },
    webhook: { url: receiver.url, secret: { env: "BENCH_WEBHOOK_SECRET" } },
  };
  await writeFile(rules, JSON.stringify({ rules: webhooks ? [every] : [] }));
  const system = stack.use(await startMillrace({ rules, env: { BENCH_WEBHOOK_SECRET: receiver.secret } }));
  const operator = stack.use(await connectOperator(system.run.nats));
  const client = stack.use(await startWorker<HttpClientJobs>(new URL("../processes/http-client.ts", import.meta.url)));
  const generator = await openGenerator();
  const headers = { authorization: `Bearer ${system.run.token}`, "content-type": "application/json" };
  const load = {
    url: requestsUrl(system),
    method: "POST" as const,
    headers,
    body: inferBody(readings(1)),
    connections: CONNECTIONS,
  };
  const stored = async () => (await readStreamState(operator, "REQUESTS_TENSOR")).messages;
  const settled = async () => {
    const wanted = await stored();
    const within_ms = 60_000 + wanted;
    await poll(async () => (await readStreamState(operator, OUTCOMES.name)).messages >= wanted, {
      within_ms,
      every_ms: 20,
    });
    await poll(() => isQuiet(operator, OUTCOMES.name), { within_ms, every_ms: 20 });
    return wanted;
  };

  await generator.load({ ...load, seconds: WARM_UP_S });
  const before = await settled();
  const began = performance.now();
  await generator.load({ ...load, seconds });
  const perSecond = (((await settled()) - before) * 1_000) / (performance.now() - began);
  if (webhooks && told === 0) throw new Error("no webhook came");

  const target = { url: load.url, headers: { ...headers, prefer: "wait=20" }, body: load.body, expected: 200 };
  await client.call("pace", { target, perSecond: perSecond / 4, ms: 1_000 });
  const latencies = await client.call("pace", { target, perSecond: perSecond / 2, ms: seconds * 1_000 });
  return { perSecond, p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) };
}

function connectOperator(url: string): Promise<Bus> {
  const { host, username, password } = new URL(url);
  return connectBus({
    url: `nats://${host}`,
    user: username,
    password: decodeURIComponent(password),
    log: createLogger("bench", "warn"),
  });
}
