import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Delivery, startWebhookReceiver } from "@millrace/local";
import {
  type ConsumerStanding,
  readConsumers,
  readOutcomes,
  seededRandom,
  startMillrace,
  type TestMillrace,
  type TopicFollower,
} from "@millrace/testkit";
import { riskRequests } from "../risk-requests.ts";
import { type Books, makeBooks } from "./books.ts";
import { type Inflicted, inflict } from "./inflict.ts";
import { type Load, startLoad } from "./load.ts";
import { planFaults } from "./plan.ts";
import { type Arrival, recoveryTime } from "./recovery.ts";

export type ChaosOptions = {
  seed: number;
  /** SIGKILLs. */
  kills: number;
  /** SIGSTOPs, with SIGCONT some seconds later. @default a tenth of the kills */
  pauses?: number;
  /** SIGTERMs. @default a tenth of the kills */
  restarts?: number;
  /** On three nodes: half of the kills strike a node that leads a stream, and as many cuts come on top. */
  cluster?: boolean;
  /** Requests each second. */
  rate?: number;
  /** Time over which the faults are spread. A cluster takes longer: the next node waits until all ends have recovered. */
  seconds?: number;
  /** Keeps all state and logs here. */
  dataDir?: string;
  tell?: (line: string) => void;
};

/** What a run did, and what came of it. */
export type ChaosReport = {
  /**
   * Whether the books balance, every request was accepted in the end, nobody is behind, and none is dead: all of them
   * were good, so only the faults could have killed one.
   */
  ok: boolean;
  seed: number;
  nodes: 1 | 3;
  seconds: number;
  books: Books;
  /** Requests that died, with why: none is expected. */
  dead: readonly { id: string; code: string; detail: string }[];
  /** Requests whose client gave up: none is expected. */
  refused: readonly string[];
  /** Durable consumers that had not finished at the end: none is expected. */
  behind: readonly ConsumerStanding[];
  faults: {
    kills: number;
    leaders_killed: number;
    nodes_cut_off: number;
    /** By process, then by kind. */
    by_process: Readonly<Record<string, Readonly<Record<string, number>>>>;
  };
  /** By end: the longest time from the end of a fault until something asked for after it arrived; null = never. */
  recovery_ms_max: Readonly<Record<End, { ms: number | null; after: string }>>;
};

type End = "webhooks" | "messages" | "ledger";

const RATE = 20;
const GAP_MS = 2_000;
/** Bound on the time after the last fault: an ack wait (10 s), retries that had begun, and what has gathered. */
const REST_MS = 120_000;
const RECOVERY_MS = 60_000;
const POLL_MS = 500;
const LEDGER_POLL_MS = 250;
/** A repeat would come right behind. */
const AFTERMATH_MS = 2_000;
const SECRET_VARIABLE = "CHAOS_WEBHOOK_SECRET";
const READINGS = 10_000_000;

/** Runs a whole Millrace in real processes, harms it by plan under steady load, and makes the books. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { kills, cluster = false, rate = RATE, tell = () => {} } = options;
  const began = performance.now();
  await using stack = new AsyncDisposableStack();
  const webhooks: (Delivery & { arrived_ms: number })[] = [];
  const receiver = stack.use(
    await startWebhookReceiver((delivery) => webhooks.push({ ...delivery, arrived_ms: Date.now() })),
  );
  const rules = await writeRules(stack, receiver.url);
  const millrace = stack.use(
    await startMillrace({
      cluster,
      rules,
      env: { [SECRET_VARIABLE]: receiver.secret },
      ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }),
    }),
  );
  const topic = stack.use(await millrace.follow());
  const ledger = stack.use(followLedger(millrace));

  const { pauses = Math.ceil(kills / 10), restarts = Math.ceil(kills / 10) } = options;
  const inCluster = cluster
    ? { leaderKills: Math.ceil(kills / 2), cuts: Math.ceil(kills / 2) }
    : { leaderKills: 0, cuts: 0 };
  const count = kills + pauses + restarts + inCluster.cuts;
  const gap_ms = options.seconds === undefined ? GAP_MS : (options.seconds * 1_000) / count;
  const plan = planFaults({
    random: seededRandom(options.seed),
    processes: Object.keys(millrace.run.processes),
    kills,
    pauses,
    restarts,
    ...inCluster,
    gap_ms: [Math.round(gap_ms / 2), Math.round(gap_ms * 1.5)],
  });

  const load = startLoad(millrace, riskRequests(`chaos-${options.seed}`, READINGS), { rate });
  /** At each end, when what was asked for arrived. */
  const ends = (): Record<End, Arrival[]> => {
    const asked = new Map(load.accepted.map(({ id, asked_ms }) => [id, asked_ms]));
    const arrivals = (came: Iterable<{ id: string; arrived_ms: number }>) =>
      [...came].map(({ id, arrived_ms }) => ({ asked_ms: asked.get(id) ?? 0, arrived_ms }));
    return {
      webhooks: arrivals(webhooks.map(({ id, arrived_ms }) => ({ id: requestOf(id), arrived_ms }))),
      messages: arrivals(topic.messages.map((message) => ({ id: requestOf(message.messageId), ...message }))),
      ledger: arrivals(ledger.seen),
    };
  };
  const untilRecovered = (since_ms: number) => recovered(since_ms, ends);
  const inflicted = await inflict(millrace, plan, { tell, untilRecovered });
  await untilRecovered(Math.max(...inflicted.map(({ over_ms }) => over_ms)));
  tell(`${inflicted.length} faults inflicted; waiting until all is at rest`);
  await load.stop();
  const behind = await untilAtRest(millrace, load, topic, webhooks);
  await sleep(AFTERMATH_MS);

  const outcomes = await readOutcomes(millrace.run);
  const books = makeBooks({
    accepted: load.accepted.map(({ id }) => id),
    outcomes,
    ledger: await millrace.ledger({ kind: "outcome" }),
    messages: topic.messages,
    webhooks,
  });
  const dead = outcomes.flatMap(({ outcome }) =>
    outcome.state === "dead" ? [{ id: outcome.id, code: outcome.reason.code, detail: outcome.reason.detail }] : [],
  );
  return {
    ok: books.balanced && dead.length === 0 && load.refused.length === 0 && behind.length === 0,
    seed: options.seed,
    nodes: cluster ? 3 : 1,
    seconds: Math.round((performance.now() - began) / 1_000),
    books,
    dead,
    refused: load.refused,
    behind,
    faults: countFaults(inflicted),
    recovery_ms_max: slowestRecoveries(inflicted, ends()),
  };
}

async function writeRules(stack: AsyncDisposableStack, url: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "millrace-chaos-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, "rules.json");
  // Without a condition: every outcome is told of.
  const rule = { name: "every-outcome", webhook: { url, secret: { env: SECRET_VARIABLE } } };
  await writeFile(file, JSON.stringify({ rules: [rule] }));
  return file;
}

/** Looks at the newest ledger row again and again, and notes when each was first seen. */
function followLedger(
  millrace: TestMillrace,
): AsyncDisposable & { readonly seen: { id: string; arrived_ms: number }[] } {
  const seen: { id: string; arrived_ms: number }[] = [];
  const stopping = new AbortController();
  const following = (async () => {
    while (!stopping.signal.aborted) {
      try {
        const { body } = await millrace.call("/v1/audit/entries?kind=outcome&order=desc&limit=1", {
          signal: AbortSignal.timeout(5_000),
        });
        const id = (body as { entries?: { request_id?: string }[] }).entries?.[0]?.request_id;
        if (id !== undefined && id !== seen.at(-1)?.id) seen.push({ id, arrived_ms: Date.now() });
      } catch {
        // Down, as it should be now and then.
      }
      await sleep(LEDGER_POLL_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  })();
  return {
    seen,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await following;
    },
  };
}

/** Until something that was asked for since then has reached every end, or a minute has passed: the report tells. */
async function recovered(since_ms: number, ends: () => Record<End, Arrival[]>): Promise<void> {
  const deadline = performance.now() + RECOVERY_MS;
  while (performance.now() < deadline) {
    if (Object.values(ends()).every((arrivals) => recoveryTime(since_ms, arrivals) !== undefined)) return;
    await sleep(POLL_MS);
  }
}

/** Until each end has as many ids as were accepted and no consumer holds anything. Answers who was not done in time. */
async function untilAtRest(
  millrace: TestMillrace,
  load: Load,
  topic: TopicFollower,
  webhooks: readonly Delivery[],
): Promise<ConsumerStanding[]> {
  const expected = new Set(load.accepted.map(({ id }) => id)).size;
  const distinct = (names: readonly string[]) => new Set(names).size;
  const deadline = performance.now() + REST_MS;
  for (;;) {
    const consumers = await readConsumers(millrace.run);
    const behind = consumers.filter(({ pending, unacknowledged }) => pending + unacknowledged > 0);
    const complete =
      distinct(topic.messages.map(({ messageId }) => messageId)) >= expected &&
      distinct(webhooks.map(({ id }) => id)) >= expected;
    if ((complete && behind.length === 0) || performance.now() > deadline) return behind;
    await sleep(POLL_MS);
  }
}

function countFaults(inflicted: readonly Inflicted[]): ChaosReport["faults"] {
  const byProcess: Record<string, Record<string, number>> = {};
  for (const { victim, kind } of inflicted) {
    byProcess[victim] = { ...byProcess[victim], [kind]: (byProcess[victim]?.[kind] ?? 0) + 1 };
  }
  return {
    kills: inflicted.filter(({ kind }) => kind === "kill").length,
    leaders_killed: inflicted.filter(({ kind, leaderOf }) => kind === "kill" && leaderOf !== undefined).length,
    nodes_cut_off: inflicted.filter(({ kind }) => kind === "cut").length,
    by_process: byProcess,
  };
}

function slowestRecoveries(
  inflicted: readonly Inflicted[],
  ends: Record<End, Arrival[]>,
): ChaosReport["recovery_ms_max"] {
  const slowest = (arrivals: readonly Arrival[]) => {
    let max = { ms: 0, after: "" };
    for (const { kind, victim, over_ms } of inflicted) {
      const ms = recoveryTime(over_ms, arrivals) ?? Number.POSITIVE_INFINITY;
      if (ms > max.ms) max = { ms, after: `${kind} ${victim} at ${new Date(over_ms).toISOString()}` };
    }
    return { ...max, ms: Number.isFinite(max.ms) ? max.ms : null };
  };
  return { webhooks: slowest(ends.webhooks), messages: slowest(ends.messages), ledger: slowest(ends.ledger) };
}

/** Of `<request id>.<attempt>:<destination>`. */
const requestOf = (effect: string) => effect.replace(/\.\d+:.*$/, "");
