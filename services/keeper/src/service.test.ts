import { DatabaseSync } from "node:sqlite";
import {
  type Bus,
  decideDeadLetter,
  deleteMessage,
  readDeadLetter,
  readRecord,
  readRedriveBasis,
  recordDurability,
  replaceRecord,
} from "@millrace/bus";
import { type CheckReport, digestOf, RetentionMark, retentionKey } from "@millrace/contracts";
import { eventually } from "@millrace/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type ServiceProcess, startAudit, startKeeper } from "./testing/keeper-process.ts";
import { LANE, openPlant, PLACE, type Plant } from "./testing/plant.ts";

// Each test starts real processes, on a machine that may be busy.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

let stack: AsyncDisposableStack;
let plant: Plant;
let operator: Bus;

/** Looks at everything often, and removes nothing. */
const WATCHFUL = { SWEEP_EVERY_MS: "200", RETENTION_EVERY_MS: "200", STANDING_MS: "500", REDRIVE_AFTER_MS: "10" };
/** Only answers. */
const IDLE = { SWEEP_EVERY_MS: "3600000", RETENTION_EVERY_MS: "3600000", STANDING_MS: "500" };

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  plant = stack.use(await openPlant());
  operator = plant.operator;
});
afterEach(() => stack.disposeAsync());

const keeper = async (env: Record<string, string>): Promise<ServiceProcess> =>
  stack.use(await startKeeper(plant.server, env));

/** Audit, once it has taken all there is. */
async function audited(): Promise<ServiceProcess> {
  const audit = stack.use(await startAudit(plant.server, plant.ledgerFile));
  await ledgerIsCurrent();
  return audit;
}
const ledgerIsCurrent = () =>
  eventually(
    async () => {
      for (const [stream, durable] of [
        ["OUTCOMES", "audit-outcomes"],
        ["EVENTS", "audit-events"],
      ] as const) {
        const { num_pending, num_ack_pending } = await operator.jsm.consumers.info(stream, durable);
        if (num_pending + num_ack_pending > 0) throw new Error(`${durable} has ${num_pending} to take`);
      }
    },
    { within_ms: 30_000 },
  );

const kinds = ({ findings }: CheckReport) => findings.map(({ kind }) => kind).sort();
const mark = async (stream: string) => (await readRecord(operator, "marks", retentionKey(stream), RetentionMark)).value;

test("the books of a good day balance, while work is under way and after it", async () => {
  const ids = await plant.submit(40);
  await plant.work((id) => (ids.indexOf(id) < 3 ? "dead" : "done"), 30);
  await plant.receive("bridge-predictions");
  await audited();
  await keeper(IDLE);
  const lane = await plant.check();
  // Ten wait, and nobody takes them: that is said, and it is all.
  expect(lane.ids).toEqual({ accepted: 40, done: 27, dead: 3, pending: 10, lost: 0 });
  expect(lane.dead_letters).toEqual({ open: 3, redriven: 0, discarded: 0 });
  expect(lane.findings).toMatchObject([{ kind: "standing-consumer", name: `REQUESTS_TENSOR ${LANE}` }]);
  expect(lane.findings[0]!.detail).toContain("10 wait");
  expect(lane.effects).toContainEqual({ consumer: "bridge-predictions", outcomes: 30 });

  await plant.work(() => "done");
  await plant.receive("bridge-predictions");
  await ledgerIsCurrent();
  const [first, second] = await Promise.all([plant.check(), plant.check()]);
  expect(first.findings).toEqual([]);
  expect(first).toMatchObject({ balanced: true, ids: { accepted: 40, done: 37, dead: 3, pending: 0, lost: 0 } });
  expect(second.at, "who asks meanwhile gets the same answer").toBe(first.at);
});

test("a request that was acknowledged without an outcome is named, put back, answered, and then the books balance", async () => {
  const idle = await keeper(IDLE);
  const [lost, ...others] = await plant.submit(20);
  await plant.work((id) => (id === lost ? "forget" : "done"));
  await audited();
  const before = await plant.check();
  expect(before).toMatchObject({ balanced: false, ids: { accepted: 20, done: 19, pending: 0, lost: 1 } });
  expect(before.findings).toMatchObject([{ kind: "lost-request", name: lost }]);
  expect(before.findings[0]!.detail).toContain("was acknowledged and has no outcome");
  await idle.stop();

  await keeper(WATCHFUL);
  const deeds = await eventually(
    async () => {
      const done = await plant.work(() => "done");
      if (done.size === 0) throw new Error("nothing came back");
      return done;
    },
    { within_ms: 30_000 },
  );
  expect([...deeds.keys()]).toEqual([lost]);
  await plant.untilHolds("EVENTS", 1);
  await ledgerIsCurrent();
  const after = await plant.check();
  expect(after.findings).toEqual([]);
  expect(after).toMatchObject({ balanced: true, ids: { accepted: others.length + 1, done: 20, lost: 0 } });
  const again = await operator.jsm.streams.getMessage("REQUESTS_TENSOR", { seq: 21 });
  const from = Number(again.header.get("millrace-requeued-from"));
  const first = await operator.jsm.streams.getMessage("REQUESTS_TENSOR", { seq: from });
  expect(first.subject).toBe(again.subject);
  expect(Buffer.from(again.data).equals(first.data)).toBe(true);
  const event = await operator.jsm.streams.getMessage("EVENTS", { seq: 1 });
  expect(event.subject).toBe(`evt.acme.plant.request.pump.${lost}.${from}`);
  expect(event.json()).toMatchObject({ id: lost, sequence: from, requeued_sequence: 21 });
});

test("an outcome or a request that somebody removed is named", async () => {
  await keeper(IDLE);
  const ids = await plant.submit(10);
  await plant.work(() => "done");
  await audited();
  const subjects = new Map<number, string>();
  for (const sequence of [2, 7])
    subjects.set(sequence, (await operator.jsm.streams.getMessage("OUTCOMES", { seq: sequence })).subject);
  await deleteMessage(operator, "OUTCOMES", 2);
  await deleteMessage(operator, "REQUESTS_TENSOR", ids.length);
  const report = await plant.check();
  expect(report.balanced).toBe(false);
  expect(kinds(report)).toEqual(["gap", "gap", "lost-request", "outcome-without-request"]);
  const named = (kind: string) => report.findings.filter((finding) => finding.kind === kind).map(({ name }) => name);
  expect(named("gap")).toEqual(expect.arrayContaining(["OUTCOMES 2", `REQUESTS_TENSOR ${ids.length}`]));
  expect(named("lost-request")).toEqual([subjects.get(2)!.split(".")[4]]);
  expect(report.streams.find(({ name }) => name === "OUTCOMES")).toMatchObject({ messages: 9, gaps: 1 });
});

test("a row that the ledger lacks is named", async () => {
  await plant.submit(10);
  await plant.work(() => "done");
  const audit = await audited();
  expect(await audit.stop()).toBe(0);
  const ledger = new DatabaseSync(plant.ledgerFile);
  ledger.exec(
    "DROP TRIGGER entry_is_never_removed; DELETE FROM entry WHERE stream = 'OUTCOMES' AND stream_sequence = 4",
  );
  ledger.close();
  await audited();
  await keeper(IDLE);
  const report = await plant.check();
  expect(report.findings).toMatchObject([{ kind: "ledger-differs", name: "OUTCOMES 4" }]);
});

test("a delivery without an outcome is named, and an outcome whose rule records each and has not", async () => {
  const [a, b] = await plant.submit(2);
  await plant.work(() => "done");
  const metadata = { "millrace-effect": "each", "millrace-since": new Date(0).toISOString() };
  await plant.receive("notifier-alarm", { metadata });
  const event = (id: string) => operator.js.publish(`evt.acme.plant.delivery.alarm.${id}.1`, "{}");
  await event(a!);
  await event("ghost");
  await audited();
  await keeper(IDLE);
  const report = await plant.check();
  const named = report.findings.filter(({ kind }) => kind !== "ledger-differs").map(({ kind, name }) => [kind, name]);
  expect(named.sort()).toEqual([
    ["effect-without-outcome", "ghost.1:alarm"],
    ["outcome-without-effect", `${b}.1:alarm`],
  ]);
  expect(report.effects).toContainEqual({ consumer: "notifier-alarm", outcomes: 2, recorded: 1 });
});

test("retention removes exactly what it may, and the gaps are explained", async () => {
  const ids = await plant.submit(11);
  const [open, discarded, redriven] = ids as [string, string, string];
  await plant.work((id) => ([open, discarded, redriven].includes(id) ? "dead" : "done"));
  const [pending] = (await plant.submit(1)) as [string];
  await plant.work(() => "leave");
  await decide(discarded, "discarded");
  await decide(redriven, "redriven");
  const sequenceOf = await sequencesById();
  await audited();
  const running = await keeper({ ...WATCHFUL, REDRIVE_AFTER_MS: "3600000", REQUESTS_RETENTION: "0ms" });
  await plant.untilHolds("REQUESTS_TENSOR", 3);
  const stays = [open, redriven, pending].map((id) => sequenceOf.get(id)!).sort((a, b) => a - b);
  const kept = /retention_kept\{(?=[^}]*why="open-dead-letter")[^}]*\} 1/;
  await eventually(async () => expect(await running.metrics()).toMatch(kept));
  expect(await plant.sequences("REQUESTS_TENSOR")).toEqual(stays);
  expect(await mark("REQUESTS_TENSOR")).toMatchObject({ retired: 9 });
  const report = await plant.check();
  const line = report.streams.find(({ name }) => name === "REQUESTS_TENSOR");
  expect(line).toMatchObject({ messages: 3, retired: 9, gaps: 0 });
  const mayHeal = ["standing-consumer", "unfinished-redrive"]; // the one that waits, and the one left half-way
  expect(kinds(report).filter((kind) => !mayHeal.includes(kind))).toEqual([]);
  expect(await plant.sequences("OUTCOMES"), "outcomes have their own time").toHaveLength(11);
});

test("outcomes and events go when their time is over, in an order that leaves nothing unexplained", async () => {
  const ids = await plant.submit(30);
  await plant.work((id) => (ids.indexOf(id) < 5 ? "dead" : "done"));
  await decide(ids[0]!, "discarded");
  for (const id of ids.slice(10)) await operator.js.publish(`evt.acme.plant.delivery.alarm.${id}.1`, "{}");
  await audited();
  const times = { REQUESTS_RETENTION: "0ms", OUTCOMES_RETENTION: "0ms", EVENTS_RETENTION: "0ms" };
  const running = await keeper({ ...WATCHFUL, ...times });
  for (const stream of ["REQUESTS_TENSOR", "OUTCOMES", "EVENTS"]) await plant.untilHolds(stream, 0);
  const report = await plant.check();
  expect(report.findings.filter(({ kind }) => kind !== "ledger-differs")).toEqual([]);
  expect(report.ids).toEqual({ accepted: 0, done: 0, dead: 0, pending: 0, lost: 0 });
  expect(await running.metrics()).toMatch(/millrace_keeper_deleted_total\{.*stream="OUTCOMES".*\} 30/);
});

test("a keeper that is killed while it removes leaves nothing wrong; two of them do not either", async () => {
  await plant.submit(2_000);
  for (let round = 0; round < 4; round++) await plant.work(() => "done", 500);
  await audited();
  const env = { ...WATCHFUL, REQUESTS_RETENTION: "0ms", RETENTION_DELETES_PER_S: "500" };
  for (let kills = 0; kills < 3; kills++) {
    const running = await keeper(env);
    const { state } = await operator.jsm.streams.info("REQUESTS_TENSOR");
    await eventually(async () => {
      const now = await operator.jsm.streams.info("REQUESTS_TENSOR");
      if (state.messages - now.state.messages < 100) throw new Error("has not begun");
    });
    await running.kill();
  }
  const between = await operator.jsm.streams.info("REQUESTS_TENSOR");
  expect(between.state.messages).toBeGreaterThan(0);
  await keeper(env);
  await keeper(env);
  await plant.untilHolds("REQUESTS_TENSOR", 0, 30_000);
  expect(await mark("REQUESTS_TENSOR")).toMatchObject({ through: 2_000, retired: 2_000 });
  const report = await plant.check();
  expect(report.findings).toEqual([]);
  expect(report.streams.find(({ name }) => name === "REQUESTS_TENSOR")).toMatchObject({ gaps: 0, retired: 2_000 });
});

test("what somebody removed behind retention's mark is still told", async () => {
  await plant.submit(20);
  await plant.work(() => "done");
  await audited();
  const running = await keeper({ ...WATCHFUL, REQUESTS_RETENTION: "0ms" });
  await plant.untilHolds("REQUESTS_TENSOR", 0);
  await running.stop();
  const { value, revision } = await readRecord(operator, "marks", retentionKey("REQUESTS_TENSOR"), RetentionMark);
  await replaceRecord(operator, "marks", retentionKey("REQUESTS_TENSOR"), {
    value: { ...value, retired: 19 },
    revision,
  });
  await keeper(IDLE);
  const report = await plant.check();
  expect(report.findings).toMatchObject([{ kind: "gap", name: "REQUESTS_TENSOR 1–20" }]);
});

test("a redrive that was interrupted behind its decision is completed", async () => {
  const [id] = await plant.submit(1);
  await plant.work(() => "dead");
  await decide(id!, "redriven");
  await keeper(WATCHFUL);
  const deeds = await eventually(async () => {
    const done = await plant.work((_, attempt) => (attempt === 2 ? "done" : "leave"));
    if (done.size === 0) throw new Error("no request came");
    return done;
  });
  expect([...deeds]).toEqual([[id, "done"]]);
  await audited();
  const report = await plant.check();
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({ ids: { accepted: 1, done: 1 }, dead_letters: { open: 0, redriven: 1, discarded: 0 } });
});

test("durability is read from the servers, written where services look, and watched", async () => {
  await recordDurability(operator, { syncAlways: false, replicas: 1, evidence: "of another day" });
  const running = await keeper({ ...IDLE, DURABILITY_EVERY_MS: "100" });
  expect((await running.readiness()).checks.durability).toEqual({ ok: true, detail: "fsync" });
  expect(await running.metrics()).toMatch(/millrace_keeper_durability_level\{.*\} 2/);
});

test("what waits, since when, and what the books say are metrics, without being asked for", async () => {
  await plant.submit(5);
  const running = await keeper({ ...IDLE, LOOK_EVERY_MS: "100", CHECK_EVERY_MS: "100" });
  const value = reading(running);
  const lane = [`consumer="${LANE}"`, 'model="pump"', 'tenant="acme"'];
  await eventually(async () => {
    expect(await value("millrace_consumer_pending", ...lane)).toBe(5);
    expect(await value("millrace_consumer_ack_pending", ...lane)).toBe(0);
    expect(await value("millrace_consumer_oldest_waiting_seconds", ...lane)).toBeGreaterThan(0);
    expect(await value("millrace_stream_last_sequence", 'stream="REQUESTS_TENSOR"')).toBe(5);
    expect(await value("millrace_stream_limit_bytes", 'stream="OUTCOMES"')).toBeGreaterThan(0);
    expect(await value("millrace_keeper_books_requests", 'state="pending"')).toBe(5);
    expect(await value("millrace_keeper_books_balanced")).toBe(0); // nobody takes the five
    expect(await value("millrace_keeper_durability_declared_level")).toBe(2);
  });
  await plant.work(() => "done");
  await eventually(async () => {
    expect(await value("millrace_consumer_oldest_waiting_seconds", ...lane)).toBe(0);
    expect(await value("millrace_keeper_books_requests", 'state="done"')).toBe(5);
  });
});

test("what a worker was given and holds still waits: the backlog is both, and goes down by what is done only", async () => {
  await plant.submit(5);
  const running = await keeper({ ...IDLE, LOOK_EVERY_MS: "100" });
  const value = reading(running);
  const lane = [`consumer="${LANE}"`, 'stream="REQUESTS_TENSOR"', 'priority="normal"'];
  const backlog = async () => [
    await value("millrace_consumer_pending", ...lane),
    await value("millrace_consumer_ack_pending", ...lane),
  ];
  await eventually(async () => expect(await backlog()).toEqual([5, 0]));
  await plant.work(() => "leave", 3);
  await eventually(async () => expect(await backlog()).toEqual([2, 3]));
  await plant.work(() => "done", 2);
  await eventually(async () => expect(await backlog()).toEqual([0, 3]));
});

/** Reads one series of a keeper by some of its labels; NaN while it is not shown. */
const reading =
  (running: { metrics(): Promise<string> }) =>
  async (series: string, ...labels: string[]) => {
    const line = (await running.metrics())
      .split("\n")
      .find((text) => text.startsWith(`${series}{`) && labels.every((label) => text.includes(label)));
    return Number(line?.split(" ").at(-1));
  };

/** Decides about a dead letter, and nothing more. */
async function decide(id: string, decision: "redriven" | "discarded"): Promise<void> {
  const deadLetter = (await readDeadLetter(operator, { ...PLACE, id }))!;
  const { sequence, record } = deadLetter;
  const decided = {
    ...PLACE,
    ...{ id, attempt: record.attempt, dead_letter_sequence: sequence },
    principal: "tester",
    at: new Date().toISOString(),
  };
  if (decision === "discarded")
    await decideDeadLetter(operator, deadLetter, { ...decided, decision, reason: "as the test asks" });
  else {
    const basis = await readRedriveBasis(operator, deadLetter);
    const bytes = Buffer.from('{"inputs":[]}');
    await decideDeadLetter(operator, deadLetter, {
      ...decided,
      decision,
      priority: "normal",
      next_attempt: record.attempt + 1,
      after_sequence: basis.after_sequence,
      digest: digestOf(bytes),
      rows: 1,
      model_version: "1",
      model_digest: `sha256:${"ab".repeat(32)}`,
      edited: true,
      payload: { base64: bytes.toString("base64") },
    });
  }
}

async function sequencesById(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const sequence of await plant.sequences("REQUESTS_TENSOR")) {
    const { subject } = await operator.jsm.streams.getMessage("REQUESTS_TENSOR", { seq: sequence });
    found.set(subject.split(".").at(-1)!, sequence);
  }
  return found;
}
