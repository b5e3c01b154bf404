import { setTimeout as sleep } from "node:timers/promises";
import { eventually, readOutcomes, seededRandom, type TopicFollower } from "@millrace/testkit";
import { type Books, makeBooks } from "../chaos/books.ts";
import { type Load, startLoad } from "../chaos/load.ts";
import { MODEL, riskBody, riskRequests } from "../risk-requests.ts";
import type { Stack } from "./stack.ts";

export type ScenarioOptions = {
  stack: Stack;
  seed: number;
  /** How often each service is crashed. */
  rounds: number;
  /** Requests each second. */
  rate: number;
  tell: (line: string) => void;
};

/** What was seen. Times in milliseconds. */
export type ScenarioReport = {
  up_ms: number;
  /** From `up` to the first outcome of a request of ours. */
  first_outcome_ms: number;
  crashes: Readonly<Record<string, readonly number[]>>;
  upgrades_ms: Readonly<Record<string, number>>;
  books: Books;
  refused: readonly string[];
  ledger: { before: number; after: number };
  up_again_ms: number;
};

/** Crashed in turn; the broker too. */
const CRASHED = [
  "inference",
  "ingest",
  "notifier",
  "audit",
  "bridge",
  "keeper",
  "servicebus",
  "azure",
  "nats",
] as const;
const NEXT = "next";
const REQUESTS = 10_000_000;
const DRAIN_MS = 180_000;
const GAP_MS = [1_000, 3_000] as const;
const AFTERMATH_MS = 2_000;
/** The words at the start of the demonstration's lines, one for each end. */
const ENDS = ["prediction", "notification", "ledger", "Service Bus"];

/**
 * Up from nothing, four ends, crashes, three workers, an upgrade of one service and then of all, all under load; the books; down
 * and up again with what was kept.
 * @throws with what was expected and what was there instead
 */
export async function play(options: ScenarioOptions): Promise<ScenarioReport> {
  const { stack, tell } = options;
  await using resources = new AsyncDisposableStack();

  const began = performance.now();
  await stack.compose(["up", "--detach", "--wait"]);
  const up_ms = since(began);
  tell(`up: every container is healthy after ${seconds(up_ms)}`);
  await stack.read();
  const first = await stack.submit({ model: MODEL, body: riskBody(READING), key: "first" });
  await stack.waitForOutcome(MODEL, first.id);
  const first_outcome_ms = since(began);
  tell(`the first outcome ${seconds(first_outcome_ms)} after up`);

  await fourEnds(stack);
  tell(`the demonstration shows its four ends: ${ENDS.join(", ")}`);

  const topic = resources.use(await stack.follow());
  const load = startLoad(stack, riskRequests("containers", REQUESTS), { rate: options.rate });
  resources.defer(() => load.stop());
  await progress(load, 50);
  const crashes = await crashAll(options, load);
  const upgrades_ms = await upgrade(stack, load, tell);
  await progress(load, 50);
  await load.stop();
  if (load.refused.length > 0) throw new Error(`clients gave up: ${load.refused.slice(0, 3).join("; ")}`);
  tell(`${load.accepted.length} answers that accepted; waiting for the rest of what they asked`);

  await stack.compose(["stop", "demo"], { version: NEXT });
  const accepted = [first.id, ...load.accepted.map(({ id }) => id)];
  const books = await balance(stack, topic, accepted);
  tell(`the books balance: ${JSON.stringify({ ...books.accepted, ...books.outcomes, messages: books.messages.ids })}`);
  tell(`millrace check: ${(await cli(stack, "check")).trim().split("\n")[0]}`);

  return {
    up_ms,
    first_outcome_ms,
    crashes,
    upgrades_ms,
    books,
    refused: load.refused,
    ...(await downAndUp(stack, first.id, tell)),
  };
}

const READING = [21.5, 1480, 72, 38.2, 81, 58, 2.1, 3.2, 6.1, 112, 2.4, 8];
const since = (began: number) => performance.now() - began;
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

const cli = (stack: Stack, ...args: string[]) =>
  stack.compose(["run", "--rm", "--no-deps", "-T", "cli", ...args], { version: NEXT });

async function fourEnds(stack: Stack): Promise<void> {
  await eventually(
    async () => {
      const shown = await stack.compose(["logs", "--no-log-prefix", "--no-color", "demo"]);
      const missing = ENDS.filter((end) => !new RegExp(`^\\s*${end}\\b`, "m").test(shown));
      if (missing.length > 0) throw new Error(`the demonstration did not show ${missing.join(", ")}:\n${shown}`);
      if (!shown.includes(stack.run.http)) throw new Error(`its summary does not name ${stack.run.http}:\n${shown}`);
    },
    { within_ms: 90_000, every_ms: 1_000 },
  );
}

async function crashAll({ stack, seed, rounds, tell }: ScenarioOptions, load: Load) {
  const random = seededRandom(seed);
  const crashes: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const service of random.shuffled(CRASHED)) {
      const [container] = await stack.containers(service);
      if (container === undefined) throw new Error(`${service} is not running`);
      const accepted = load.accepted.length;
      const back_ms = await stack.crash(container);
      crashes[service] = [...(crashes[service] ?? []), Math.round(back_ms)];
      tell(`crashed ${service}; healthy again after ${seconds(back_ms)}`);
      await progress(load, accepted + 5);
      await sleep(random.integer(...GAP_MS));
    }
  }
  return crashes;
}

/** Three workers, then a new image of theirs in the old one's place, then new images of everything. */
async function upgrade(stack: Stack, load: Load, tell: (line: string) => void): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  const timed = async (what: string, args: readonly string[], version: string) => {
    const began = performance.now();
    await stack.compose(["up", "--detach", "--wait", ...args], { version });
    times[what] = Math.round(since(began));
    tell(`${what}: ${seconds(times[what])}`);
    await progress(load, load.accepted.length + 20);
  };
  await timed(
    "scaled inference to three",
    ["--no-deps", "--no-recreate", "--scale", "inference=3", "inference"],
    "dev",
  );
  await timed("upgraded inference in place", ["--no-deps", "--scale", "inference=3", "inference"], NEXT);
  const workers = await stack.containers("inference");
  const old = workers.filter(({ image }) => !image.endsWith(`:${NEXT}`));
  if (workers.length !== 3 || old.length > 0)
    throw new Error(`${workers.length} workers, ${old.length} of the old image`);
  await timed("upgraded everything", ["--scale", "inference=3"], NEXT);
  return times;
}

/** Waits until so many answers have accepted: the load goes on. */
const progress = (load: Load, count: number) =>
  eventually(
    () => {
      if (load.accepted.length < count)
        throw new Error(`${load.accepted.length} of ${count} were accepted; ${load.refused[0] ?? ""}`);
    },
    { within_ms: 120_000, every_ms: 100 },
  );

/**
 * Each accepted request has an outcome, and each outcome (the demonstration's too) one row in the ledger and one message on the
 * topic, with its bytes.
 */
async function balance(stack: Stack, topic: TopicFollower, accepted: readonly string[]): Promise<Books> {
  const from = topic.messages[0];
  if (from === undefined) throw new Error("no message came from the topic");
  const read = async () => {
    const outcomes = await readOutcomes(stack.run);
    const ids = outcomes.map(({ outcome }) => outcome.id);
    const ledger = await stack.ledger({ kind: "outcome" });
    return makeBooks({ accepted: [...new Set([...accepted, ...ids])], outcomes, ledger, messages: topic.messages });
  };
  const books = await eventually(
    async () => {
      const now = await read();
      if (!now.balanced)
        throw new Error(JSON.stringify({ lost: now.lost, doubled: now.doubled, unknown: now.unknown }));
      return now;
    },
    { within_ms: DRAIN_MS, every_ms: 1_000 },
  );
  await sleep(AFTERMATH_MS); // a repeat would come right behind
  const last = await read();
  if (!last.balanced) throw new Error(`the books balanced and then did not: ${JSON.stringify(last.doubled)}`);
  if (books.outcomes.dead > 0) throw new Error(`${books.outcomes.dead} good requests are dead`);
  return { ...last, accepted: { answers: accepted.length, ids: new Set(accepted).size } };
}

/** Volumes survive `down`: the same token, the same ledger, and it goes on behind its last entry. */
async function downAndUp(stack: Stack, id: string, tell: (line: string) => void) {
  const before = await head(stack);
  const { token } = stack.run;
  await stack.compose(["down"], { version: NEXT });
  if ((await stack.containers()).length > 0) throw new Error("containers are left after down");
  const began = performance.now();
  await stack.compose(["up", "--detach", "--wait"], { version: NEXT });
  const up_again_ms = since(began);
  await stack.read();
  if (stack.run.token !== token) throw new Error("another token after down and up");
  const { outcome } = await stack.state(MODEL, id);
  if (outcome?.state !== "done")
    throw new Error(`the first request's outcome is ${JSON.stringify(outcome)} after down and up`);
  const later = await stack.submit({ model: MODEL, body: riskBody(READING), key: "later" });
  await stack.waitForOutcome(MODEL, later.id);
  const after = await eventually(
    async () => {
      const now = await head(stack);
      if (now <= before) throw new Error(`the ledger has ${now} entries, ${before} before`);
      return now;
    },
    { within_ms: 60_000 },
  );
  const chain = await stack.compose(["exec", "-T", "audit", "node", "verify.js", "/data/ledger.sqlite"], {
    version: NEXT,
  });
  tell(
    `down and up (${seconds(up_again_ms)}): the same token, the ledger goes on at ${before} (${after} now): ${chain.trim()}`,
  );
  return { ledger: { before, after }, up_again_ms };
}

async function head(stack: Stack): Promise<number> {
  const { status, body } = await stack.call("/v1/audit/head");
  if (status !== 200) throw new Error(`the ledger's head answered ${status}: ${JSON.stringify(body)}`);
  return (body as { entries: number }).entries;
}
