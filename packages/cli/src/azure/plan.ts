import type { EntityKind, EntitySettings, EntityState, Rule, RuleState, SubscriptionState } from "@millrace/azure";
import type { WantedEntity, WantedSubscription } from "@millrace/contracts";

/** What is at Service Bus, of all that is wanted. */
export type ActualEntity = EntityState & { subscriptions: ActualSubscription[] };
/** Rules are read of subscriptions that are wanted. */
export type ActualSubscription = SubscriptionState & { rules: RuleState[] };
export type Actual = {
  tier: string;
  /** By lower-case name. */
  entities: ReadonlyMap<string, ActualEntity>;
};

export type Change = { setting: string; from?: string | number | boolean; to: string | number | boolean };

/** One thing to do, in the order in which it is done. */
export type Step = {
  action: "create" | "update" | "delete";
  what: EntityKind | "subscription" | "rule";
  /** The queue's or topic's name. */
  entity: string;
  subscription?: string;
  /** What to set: of an update only what changes. */
  settings?: EntitySettings;
  rule?: Rule;
  /** For people. */
  changes: Change[];
  why?: string;
  /** A promise that is not kept until then. */
  broken?: string;
};

/** What cannot be brought about here. */
export type Refusal = { what: string; why: string; fix: string };
export type Plan = { steps: Step[]; refusals: Refusal[]; notes: string[] };

/** Azure's own rule of a new subscription: it takes every message. */
const DEFAULT_RULE = "$default";
const TAKES_ALL = new Set(["1=1", "1 = 1", "true"]);
/** As Bicep leaves it beside declared rules, since a template cannot delete a rule. */
const TAKES_NOTHING = new Set(["1=0", "1 = 0", "false"]);

/** Compares what is wanted with what is there. Nothing that is there and not wanted is ever removed, except where a step says so. */
export function planOf(wanted: readonly WantedEntity[], actual: Actual): Plan {
  const plan: Plan = { steps: [], refusals: [], notes: [] };
  checkTier(wanted, actual.tier, plan);
  for (const entity of wanted) {
    const present = actual.entities.get(entity.name.toLowerCase());
    if (present === undefined) createEntity(entity, plan);
    else if (present.kind !== entity.kind)
      plan.refusals.push({
        what: `${entity.kind} ${entity.name}`,
        why: `there is a ${present.kind} of that name`,
        fix: `Name it as a ${present.kind} in the routes file, or use another name.`,
      });
    else compareEntity(entity, present, plan);
  }
  return plan;
}

/** Exactly one outcome per plan: refused before broken before pending before nothing. */
export const verdictOf = ({ steps, refusals }: Plan): "refused" | "pending" | "nothing" =>
  refusals.length > 0 || steps.some(({ broken }) => broken !== undefined)
    ? "refused"
    : steps.length > 0
      ? "pending"
      : "nothing";

function checkTier(wanted: readonly WantedEntity[], tier: string, plan: Plan): void {
  if (tier !== "Basic") return;
  const needs = wanted.filter(
    ({ kind, settings }) => kind === "topic" || settings.sessions || settings.duplicate_detection_s !== undefined,
  );
  if (needs.length === 0) return;
  plan.refusals.push({
    what: "the namespace",
    why: `its tier is Basic, which has no topics, sessions or duplicate detection (${needs.map(({ name }) => name).join(", ")})`,
    fix: "Use a namespace of tier Standard or Premium.",
  });
}

function createEntity(entity: WantedEntity, plan: Plan): void {
  const { kind, name, settings, neededBy } = entity;
  const why = neededBy.join(", ");
  plan.steps.push({ action: "create", what: kind, entity: name, settings, changes: changesOf(settings), why });
  for (const subscription of entity.subscriptions) createSubscription(entity, subscription, plan);
}

function createSubscription({ name: entity }: WantedEntity, wanted: WantedSubscription, plan: Plan): void {
  const { name, settings, rules: [first, ...others] = [] } = wanted;
  const changes = [...changesOf(settings), ...(first ? [ruleChange(first)] : [])];
  const of = { entity, subscription: name };
  plan.steps.push({ action: "create", what: "subscription", ...of, settings, changes, ...(first && { rule: first }) });
  for (const rule of others) createRule(of, rule, plan);
}

const createRule = (of: { entity: string; subscription: string }, rule: Rule, plan: Plan): void =>
  void plan.steps.push({ action: "create", what: "rule", ...of, rule, changes: [ruleChange(rule)] });

const ruleChange = ({ name, sql }: Rule): Change => ({ setting: `rule ${name}`, to: sql });

function compareEntity(wanted: WantedEntity, present: ActualEntity, plan: Plan): void {
  const { kind, name, settings, outage, routes } = wanted;
  const what = `${kind} ${name}`;
  const { duplicate_detection_s: window_s } = present.settings;
  if (settings.duplicate_detection_s !== undefined && window_s === undefined)
    plan.refusals.push({
      what,
      why: `duplicate detection is off${outage ? `: a repeat after a failure of up to ${outage.seconds} s (route ${outage.route}) would be taken twice` : ""}`,
      fix: "Azure cannot turn it on later. Make a new one under another name, or delete this one once it is empty, then apply.",
    });
  else if (differing(settings, present.settings).length > 0) {
    const short = outage !== undefined && window_s! < outage.seconds;
    plan.steps.push({
      ...updateOf({ what: kind, entity: name }, settings, present.settings),
      ...(short && {
        broken: `route ${outage.route} promises that an outage of ${outage.seconds} s makes no duplicate; now ids are forgotten after ${window_s} s`,
      }),
    });
  }
  if (kind === "queue") refuseSessions(what, settings, present.settings, plan);
  refuseStatus(what, present, routes.length > 0 ? "SendDisabled" : "ReceiveDisabled", plan);
  noteEntity(what, wanted, present, plan);
  for (const subscription of wanted.subscriptions) {
    const there = present.subscriptions.find((it) => sameName(it, subscription));
    if (there) compareSubscription(wanted, subscription, there, plan);
    else createSubscription(wanted, subscription, plan);
  }
}

function compareSubscription(
  entity: WantedEntity,
  wanted: WantedSubscription,
  present: ActualSubscription,
  plan: Plan,
): void {
  const of = { entity: entity.name, subscription: present.name };
  const what = `subscription ${entity.name}/${present.name}`;
  refuseSessions(what, wanted.settings, present.settings, plan);
  refuseStatus(what, present, "ReceiveDisabled", plan);
  noteIdle(what, present, plan);
  if (differing(wanted.settings, present.settings).length > 0)
    plan.steps.push(updateOf({ what: "subscription", ...of }, wanted.settings, present.settings));
  compareRules(of, wanted.rules, present.rules, plan);
}

/** Declared rules first, then the default one goes: in between too much arrives rather than too little. */
function compareRules(
  of: { entity: string; subscription: string },
  wanted: readonly Rule[] | undefined,
  present: readonly RuleState[],
  plan: Plan,
): void {
  const declared = wanted ?? [];
  for (const rule of declared) {
    const there = present.find((it) => sameName(it, rule));
    if (there === undefined) createRule(of, rule, plan);
    else if (there.sql?.trim() !== rule.sql.trim() || there.action !== undefined) {
      const from = there.action === undefined ? there.filter : `${there.filter} with the action ${there.action}`;
      plan.steps.push({ action: "update", what: "rule", ...of, rule, changes: [{ ...ruleChange(rule), from }] });
    }
  }
  for (const rule of present.filter((it) => !declared.some((other) => sameName(other, it)))) {
    const isDefault = rule.name.toLowerCase() === DEFAULT_RULE;
    const filter = rule.filter.trim().toLowerCase();
    if (isDefault && TAKES_NOTHING.has(filter) && declared.length > 0) continue;
    const takesAll = isDefault && TAKES_ALL.has(filter);
    if (takesAll && declared.length > 0)
      plan.steps.push({
        action: "delete",
        what: "rule",
        ...of,
        rule: { name: rule.name, sql: rule.filter },
        changes: [],
        why: `it takes every message, so the declared ${declared.length === 1 ? "rule selects" : "rules select"} nothing`,
      });
    else if (!takesAll)
      plan.notes.push(
        `rule ${of.entity}/${of.subscription}/${rule.name} (${rule.filter}) is not in the file; it stays, and takes what it takes`,
      );
  }
}

function noteEntity(what: string, wanted: WantedEntity, present: ActualEntity, plan: Plan): void {
  noteIdle(what, present, plan);
  if (present.partitioned)
    plan.notes.push(`${what} is partitioned: order holds within a session or partition key, not beyond`);
  const unknown = present.subscriptions.filter((it) => !wanted.subscriptions.some((other) => sameName(other, it)));
  if (unknown.length > 0)
    plan.notes.push(`${what} has subscriptions that the file does not name; they stay: ${listed(unknown)}`);
  const without = wanted.routes.filter(({ sessions }) => !sessions);
  const strict = present.subscriptions.filter(({ settings }) => settings.sessions);
  if (wanted.kind === "topic" && without.length > 0 && strict.length > 0)
    plan.notes.push(
      `${what}: messages of ${listed(without)} have no session id, so subscriptions that require sessions dead-letter them: ${listed(strict)}`,
    );
}

const noteIdle = (what: string, { delete_on_idle_s: idle_s }: SubscriptionState, plan: Plan): void => {
  if (idle_s !== undefined)
    plan.notes.push(`${what} deletes itself, with its messages, when nobody used it for ${idle_s} s`);
};

const LISTED_MAX = 10;
function listed(named: readonly { name: string }[]): string {
  const names = named.slice(0, LISTED_MAX).map(({ name }) => name);
  const more = named.length - names.length;
  return more > 0 ? `${names.join(", ")} and ${more} more` : names.join(", ");
}

function refuseSessions(what: string, wanted: EntitySettings, present: EntitySettings, plan: Plan): void {
  if (wanted.sessions === undefined || wanted.sessions === present.sessions) return;
  plan.refusals.push({
    what,
    why: wanted.sessions ? "it does not require sessions, and should" : "it requires sessions, and should not",
    fix: "Azure cannot change that later. Make a new one under another name, or delete this one once it is empty, then apply.",
  });
}

function refuseStatus(what: string, { status }: SubscriptionState, harmful: string, plan: Plan): void {
  if (status !== "Disabled" && status !== harmful) return;
  plan.refusals.push({
    what,
    why: `somebody disabled it (${status})`,
    fix: "Find out why; enable it in the portal or with `az servicebus` when it may work again.",
  });
}

function updateOf(
  of: Pick<Step, "what" | "entity" | "subscription">,
  wanted: EntitySettings,
  present: EntitySettings,
): Step {
  const names = differing(wanted, present);
  return {
    action: "update",
    ...of,
    settings: Object.fromEntries(names.map((name) => [name, wanted[name]])),
    changes: names.map((name) => ({ setting: name, from: present[name]!, to: wanted[name]! })),
  };
}

/** How a setting that is there may differ from the one that is wanted; sessions are not here, since Azure never changes them. */
const ENOUGH: Readonly<
  Record<Exclude<keyof EntitySettings, "sessions">, (present: number, wanted: number) => boolean>
> = {
  duplicate_detection_s: (present, wanted) => present >= wanted,
  size_max_mb: (present, wanted) => present >= wanted,
  lock_s: (present, wanted) => present === wanted,
  deliveries_max: (present, wanted) => present === wanted,
};

const differing = (wanted: EntitySettings, present: EntitySettings) =>
  (Object.keys(ENOUGH) as (keyof typeof ENOUGH)[]).filter(
    (name) => wanted[name] !== undefined && !ENOUGH[name](present[name] ?? 0, wanted[name]),
  );

const changesOf = (settings: EntitySettings): Change[] =>
  Object.entries(settings)
    .filter(([, to]) => to !== undefined)
    .map(([setting, to]) => ({ setting, to }));

const sameName = (a: { name: string }, b: { name: string }): boolean => a.name.toLowerCase() === b.name.toLowerCase();
