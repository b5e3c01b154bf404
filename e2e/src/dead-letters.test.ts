import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import {
  type AuditEntry,
  type CheckReport,
  type DecisionResult,
  deadLetterSubject,
  EVENTS,
  outcomeId,
} from "@millrace/contracts";
import { type Delivery, startWebhookReceiver } from "@millrace/local";
import { connectAsOperator, eventually, startMillrace, type TestMillrace, type TopicFollower } from "@millrace/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { failingReading, MODEL, riskBody } from "./risk-requests.ts";

/** Dead letters from outside: what a person does about them with `millrace dead`, and what the four ends see of it. */

const CLI = fileURLToPath(new URL("../../packages/cli/bin/millrace.mjs", import.meta.url));

const stack = new AsyncDisposableStack();
const webhooks: Delivery[] = [];
let millrace: TestMillrace;
let topic: TopicFollower;
let folder: string;

beforeAll(async () => {
  const receiver = stack.use(await startWebhookReceiver((delivery) => webhooks.push(delivery)));
  folder = await mkdtemp(path.join(tmpdir(), "millrace-e2e-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const rules = path.join(folder, "rules.json");
  const rule = { name: "at-risk", tenant: "demo", project: "plant-a", model: MODEL };
  const when = { output: "failure_probability", op: ">=", value: 0.8 };
  const webhook = { url: receiver.url, secret: { env: "E2E_WEBHOOK_SECRET" } };
  await writeFile(rules, JSON.stringify({ rules: [{ ...rule, when, webhook }] }));
  millrace = stack.use(await startMillrace({ rules, env: { E2E_WEBHOOK_SECRET: receiver.secret } }));
  topic = stack.use(await millrace.follow());
});

afterAll(() => stack.disposeAsync());

/** Runs `millrace …` as a person does, with the run's own address and token. */
const cli = (...args: string[]): Promise<{ code: number; out: string; error: string }> =>
  new Promise((resolve) => {
    const { MILLRACE_URL: _, MILLRACE_TOKEN: __, ...env } = process.env;
    execFile(process.execPath, [CLI, ...args, "--data", millrace.dataDir], { env, cwd: folder }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, error: err }),
    );
  });
/** A reading that fits the signature and makes the model say what is no number. */
const poison = (number = 0) => riskBody(failingReading().map((_, i) => (i % 2 === 0 ? 3e38 : -3e38 + number)));

async function die(key: string, number = 0): Promise<string> {
  const { id } = await millrace.submit({ model: MODEL, key, body: poison(number) });
  expect((await millrace.waitForOutcome(MODEL, id)).state).toBe("dead");
  return id;
}

const ledgerOf = async (id: string): Promise<AuditEntry[]> =>
  (await millrace.ledger()).filter(({ subject }) => subject.split(".").includes(id));

test("a dead letter is found, shown, redriven with another payload, and the four ends see its second attempt", async () => {
  const key = "a-stuck-sensor";
  const id = await die(key);
  const name = `${MODEL}/${id}`;

  const listed = await cli("dead", "list", "--code", "model-invalid-output");
  expect(listed).toMatchObject({ code: 0, out: expect.stringContaining(name) });
  const shown = await cli("dead", "show", name);
  expect(shown.out).toContain("model-invalid-output");
  const payload = await cli("dead", "payload", name, "--as-json", "--output", "request.json");
  expect(payload).toMatchObject({ code: 0, out: "" });

  await writeFile(path.join(folder, "edited.json"), JSON.stringify(riskBody(failingReading())));
  const dry = await cli("dead", "redrive", name, "--edit", "edited.json", "--dry-run");
  expect(dry.out).toContain("would-redrive");
  expect((await millrace.state(MODEL, id)).state).toBe("dead");
  const redriven = await cli("dead", "redrive", name, "--edit", "edited.json", "--reason", "the sensor was stuck");
  expect(redriven).toMatchObject({ code: 0, out: expect.stringContaining("redriven") });

  // 1. Who asked: the same job, by id and by key, with its second attempt.
  const outcome = await eventually(async () => {
    const found = (await millrace.state(MODEL, id)).outcome;
    expect(found?.attempt).toBe(2);
    return found!;
  });
  expect(outcome).toMatchObject({ state: "done", previous: [{ attempt: 1, code: "model-invalid-output" }] });
  const again = await millrace.trySubmit({ model: MODEL, key, body: poison() });
  expect(again).toMatchObject({ status: 202, body: { id, state: "done", repeated: true } });

  // 2. The webhook and 3. the topic: an effect of its own for each attempt.
  await eventually(() => expect(webhooks.map((it) => it.id)).toContainEqual(expect.stringMatching(`^${id}\\.2:`)));
  const messages = await eventually(() => {
    const found = topic.messages.filter(({ messageId }) => messageId.startsWith(id));
    expect(found).toHaveLength(2);
    return found;
  });
  expect(messages.map(({ messageId }) => messageId.split(":")[0]).sort()).toEqual([outcomeId(id, 1), outcomeId(id, 2)]);
  expect(messages.map((it) => it.applicationProperties.state)).toEqual(["dead", "done"]);

  // 4. The ledger: both outcomes, and between them who decided, when and why.
  const of = { tenant: millrace.run.tenant, project: millrace.run.project, model: MODEL, id };
  const entries = await eventually(async () => {
    const found = await ledgerOf(id);
    expect(found.filter(({ kind }) => kind === "outcome").map((it) => it.id)).toEqual([
      outcomeId(id, 1),
      outcomeId(id, 2),
    ]);
    expect(found.map(({ subject }) => subject)).toContain(deadLetterSubject(of, 1));
    return found;
  });
  const decision = entries.find(({ subject }) => subject === deadLetterSubject(of, 1))!;
  expect(decision).toMatchObject({ kind: "event", type: "millrace.dead-letter.redriven.v1" });
  expect(decision.principal).toBeDefined();

  const gone = await cli("dead", "redrive", name);
  expect(gone).toMatchObject({ code: 1, error: expect.stringContaining("unknown-dead-letter") });
});

test("ingest is killed while it redrives many: the same command again completes it, and doubles nothing", async () => {
  const ids = await Promise.all(
    Array.from({ length: MANY }, (_, number) => die(`many-${number}`, (number + 1) * 1e36)),
  );
  const to = new Date().toISOString();
  const redrive = () => cli("dead", "redrive", "--all", "--to", to, "--json");

  const [interrupted] = await Promise.all([redrive(), firstDecision().then(() => millrace.kill("ingest"))]);
  expect(interrupted.code === 0 || interrupted.code === 3, interrupted.error).toBe(true);
  const decided = interrupted.out.split("\n").length - 1;
  console.info(
    `ingest was killed while it redrove ${MANY}; the command ended with ${interrupted.code} after ${decided}`,
  );
  await eventually(async () => expect(await redrive()).toMatchObject({ code: 0 }));

  // The originals die again, each once.
  for (const id of ids)
    await eventually(async () => expect((await millrace.state(MODEL, id)).outcome).toMatchObject({ attempt: 2 }));
  const outcomesOf = (id: string) => topic.messages.map((it) => it.messageId.split(":")[0]!).filter(startsWith(id));
  await eventually(() => {
    for (const id of ids) expect(outcomesOf(id).sort()).toEqual([outcomeId(id, 1), outcomeId(id, 2)]);
  });

  const discarded = await cli("dead", "discard", "--all", "--reason", "no sensor says so", "--json");
  expect(discarded.code).toBe(0);
  const results = discarded.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as DecisionResult);
  expect(results.map(({ id, attempt, result }) => `${id}.${attempt} ${result}`).sort()).toEqual(
    ids.map((id) => `${id}.2 discarded`).sort(),
  );
  expect((await cli("dead", "list")).out).toBe("No dead letters match.\n");
  await eventually(async () => {
    const events = (await millrace.ledger({ kind: "event" })).filter(({ type }) => type.includes("dead-letter"));
    const decisionsOf = (id: string) =>
      events.filter(({ subject }) => subject.includes(`.${id}.`)).map(({ type }) => type);
    for (const id of ids)
      expect(decisionsOf(id)).toEqual(["millrace.dead-letter.redriven.v1", "millrace.dead-letter.discarded.v1"]);
  });
});

test("the books of it all balance, and the command says so", async () => {
  const report = await eventually(async () => {
    const { code, out, error } = await cli("check", "--json");
    expect({ code, out, error }).toMatchObject({ code: 0 });
    return JSON.parse(out) as CheckReport;
  });
  expect(report.ids).toMatchObject({ accepted: MANY + 1, done: 1, dead: MANY, pending: 0, lost: 0 });
  expect(report.dead_letters).toMatchObject({ open: 0, discarded: MANY });
  expect((await cli("check")).out).toContain("The books balance.");
});

/** So many that the first are decided long before the last. */
const MANY = 120;

/** Waits until a decision about one of many is stored. */
async function firstDecision(): Promise<void> {
  await using operator = await closing(connectAsOperator(millrace.run));
  const jsm = await operator.connection.jetstreamManager();
  const decided = async () => {
    const { state } = await jsm.streams.info(EVENTS.name, { subjects_filter: "evt.*.*.dead-letter.>" });
    return Object.keys(state.subjects ?? {}).length;
  };
  const before = await decided();
  await eventually(async () => expect(await decided()).toBeGreaterThan(before), { within_ms: 30_000, every_ms: 2 });
}
const closing = async <T extends { close(): Promise<void> }>(opening: Promise<T>) => {
  const connection = await opening;
  return { connection, [Symbol.asyncDispose]: () => connection.close() };
};
const startsWith = (prefix: string) => (text: string) => text.startsWith(prefix);
