import { type RoutesFile, wantedOf } from "@millrace/contracts";
import { expect, test } from "vitest";
import { stepLine } from "../print/plan.ts";
import { type Actual, type ActualEntity, planOf, verdictOf } from "./plan.ts";

const RULES = [
  { name: "dead", sql: "state = 'dead'" },
  { name: "pump", sql: "model = 'pump'" },
];
const topic: RoutesFile = {
  routes: [{ name: "a", topic: "news" }],
  entities: [{ topic: "news", subscriptions: [{ name: "ops", rules: RULES }] }],
};
const plain = { status: "Active", partitioned: false } as const;
const rule = (name: string, sql: string) => ({ name, sql, filter: sql });
const subscription = (over: Partial<ActualEntity["subscriptions"][number]> = {}) => ({
  name: "ops",
  settings: { sessions: false, lock_s: 60, deliveries_max: 10 },
  status: "Active",
  rules: RULES.map(({ name, sql }) => rule(name, sql)),
  ...over,
});
const news = (over: Partial<ActualEntity> = {}): ActualEntity => ({
  kind: "topic",
  name: "news",
  settings: { duplicate_detection_s: 600, size_max_mb: 1_024 },
  ...plain,
  subscriptions: [subscription()],
  ...over,
});

function planFor(file: RoutesFile, present: ActualEntity[], tier: Actual["tier"] = "Standard") {
  const wanted = wantedOf(file);
  if (!wanted.ok) throw new Error(wanted.mistakes.join("; "));
  const plan = planOf(wanted.entities, { tier, entities: new Map(present.map((it) => [it.name.toLowerCase(), it])) });
  return { ...plan, verdict: verdictOf(plan), lines: plan.steps.map(stepLine) };
}

test("an empty namespace gets everything, a subscription with its first rule instead of the one that takes everything", () => {
  const plan = planFor(topic, []);
  expect(plan.lines).toEqual(["create topic news", "create subscription news/ops", "create rule news/ops/pump"]);
  expect(plan.steps[0]).toMatchObject({
    settings: { duplicate_detection_s: 600 },
    why: "route a, entities: topic news",
  });
  expect(plan.steps[1]).toMatchObject({ rule: RULES[0] });
  expect(plan.verdict).toBe("pending");
});

test("what is as wanted needs nothing, and what is more than wanted stays", () => {
  expect(planFor(topic, [news()])).toMatchObject({ steps: [], refusals: [], notes: [], verdict: "nothing" });
  const larger = news({ settings: { duplicate_detection_s: 86_400, size_max_mb: 5_120 } });
  expect(planFor(topic, [larger])).toMatchObject({ steps: [], verdict: "nothing" });
});

test("a window shorter than the promised outage is refused until it is raised; one that is only wished longer is not", () => {
  const short = planFor(topic, [news({ settings: { duplicate_detection_s: 60 } })]);
  expect(short.verdict).toBe("refused");
  expect(short.steps).toMatchObject([
    { action: "update", settings: { duplicate_detection_s: 600 }, broken: expect.stringContaining("600 s") },
  ]);
  const wished = { ...topic, entities: [{ topic: "news", duplicate_detection_s: 3_600 }] };
  const plan = planFor(wished, [news({ settings: { duplicate_detection_s: 600 } })]);
  expect(plan.verdict).toBe("pending");
  expect(plan.steps[0]).not.toHaveProperty("broken");
});

test("what Azure cannot change is refused with what to do: duplicate detection, sessions, the kind, a tier", () => {
  const off = planFor(topic, [news({ settings: {} })]);
  expect(off.refusals).toMatchObject([
    { what: "topic news", why: expect.stringContaining("duplicate detection is off") },
  ]);
  const queues: RoutesFile = { routes: [{ name: "q", queue: "news", message: { session_id: "{id}" } }] };
  const queue = news({ kind: "queue", settings: { duplicate_detection_s: 600, sessions: false }, subscriptions: [] });
  expect(planFor(queues, [queue]).refusals).toMatchObject([{ why: "it does not require sessions, and should" }]);
  expect(planFor(queues, [news()]).refusals).toMatchObject([{ why: "there is a topic of that name" }]);
  const strict = news({ subscriptions: [subscription({ settings: { sessions: true } })] });
  const says = { ...topic, entities: [{ topic: "news", subscriptions: [{ name: "ops", sessions: false }] }] };
  expect(planFor(says, [strict]).refusals).toMatchObject([{ what: "subscription news/ops" }]);
  expect(planFor(topic, [], "Basic").refusals).toMatchObject([{ what: "the namespace" }]);
  for (const { refusals } of [off]) expect(refusals[0]!.fix).toContain("another name");
});

test("a subscription that says nothing of sessions keeps what it has; ids that it would need and does not get are told", () => {
  const strict = news({ subscriptions: [subscription({ settings: { sessions: true } })] });
  const plan = planFor(topic, [strict]);
  expect(plan.refusals).toEqual([]);
  expect(plan.notes).toEqual([expect.stringContaining("dead-letter them: ops")]);
});

test("a disabled entity is refused, where the disabling matters", () => {
  expect(planFor(topic, [news({ status: "SendDisabled" })]).refusals).toMatchObject([
    { why: "somebody disabled it (SendDisabled)" },
  ]);
  expect(planFor(topic, [news({ status: "ReceiveDisabled" })]).refusals).toEqual([]);
});

test("the rule that takes everything goes only beside declared ones, and after they are there", () => {
  const untouched = subscription({ rules: [rule("$Default", "1=1")] });
  const plan = planFor(topic, [news({ subscriptions: [untouched] })]);
  expect(plan.lines).toEqual([
    "create rule news/ops/dead",
    "create rule news/ops/pump",
    "delete rule news/ops/$Default",
  ]);
  const undeclared = { ...topic, entities: [{ topic: "news", subscriptions: [{ name: "ops" }] }] };
  expect(planFor(undeclared, [news({ subscriptions: [untouched] })])).toMatchObject({ steps: [], notes: [] });
  const closed = subscription({ rules: [...subscription().rules, rule("$Default", "1=0")] });
  expect(planFor(topic, [news({ subscriptions: [closed] })])).toMatchObject({ steps: [], notes: [] });
  const own = subscription({ rules: [...subscription().rules, rule("$Default", "tenant = 'acme'")] });
  const kept = planFor(topic, [news({ subscriptions: [own] })]);
  expect(kept.steps).toEqual([]);
  expect(kept.notes).toEqual([expect.stringContaining("rule news/ops/$Default (tenant = 'acme') is not in the file")]);
});

test("a rule with another filter or an action of its own is replaced, one that nobody declared is named and stays", () => {
  const rules = [
    rule("DEAD", "state = 'done'"),
    { ...rule("pump", "model = 'pump'"), action: "SET seen = 1" },
    { name: "mine", filter: '{"subject":"x"}' },
  ];
  const plan = planFor(topic, [news({ subscriptions: [subscription({ rules })] })]);
  expect(plan.lines).toEqual(["update rule news/ops/dead", "update rule news/ops/pump"]);
  expect(plan.steps[1]!.changes[0]!.from).toContain("SET seen = 1");
  expect(plan.notes).toEqual([expect.stringContaining('news/ops/mine ({"subject":"x"})')]);
});

test("subscriptions that nobody declared, partitions and entities that delete themselves are told", () => {
  const others = Array.from({ length: 12 }, (_, n) => subscription({ name: `other-${n}` }));
  const present = news({ subscriptions: [subscription(), ...others], partitioned: true, delete_on_idle_s: 300 });
  const { notes, verdict } = planFor(topic, [present]);
  expect(verdict).toBe("nothing");
  expect(notes.join("\n")).toMatch(/deletes itself.*300 s/);
  expect(notes.join("\n")).toMatch(/is partitioned/);
  expect(notes.join("\n")).toMatch(/they stay: other-0, .* and 2 more/);
});

test("settings of a subscription are changed to exactly what is declared", () => {
  const says = {
    ...topic,
    entities: [{ topic: "news", subscriptions: [{ name: "ops", lock_s: 30, deliveries_max: 3 }] }],
  };
  expect(planFor(says, [news({ subscriptions: [subscription({ rules: [] })] })]).steps).toMatchObject([
    { what: "subscription", settings: { lock_s: 30, deliveries_max: 3 }, changes: [{ from: 60 }, { from: 10 }] },
  ]);
});
