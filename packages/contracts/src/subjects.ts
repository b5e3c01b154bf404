/**
 * The subject vocabulary. Every subject in Millrace is built and read here, so that a token can never smuggle in a
 * separator or a wildcard: tokens come from requests, and a `.` or `>` in one would publish into another tenant.
 */

/** One subject token: tenant, project, model, id, rule or route name. 1–64 characters of `[A-Za-z0-9_-]`. */
export const TOKEN_PATTERN = "^[A-Za-z0-9_-]{1,64}$";
const TOKEN = new RegExp(TOKEN_PATTERN);

/** True when `value` may stand as one token of a subject. */
export const isToken = (value: unknown): value is string => typeof value === "string" && TOKEN.test(value);

/** Which pool of workers runs a model. Each kind has a request stream of its own. */
export const RUNNER_KINDS = ["tensor", "chat"] as const;
export type RunnerKind = (typeof RUNNER_KINDS)[number];

export const PRIORITIES = ["high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

export const OUTCOME_STATES = ["done", "dead"] as const;
/** The two terminal states of a request: a result, or a dead letter with its reason. */
export type OutcomeState = (typeof OUTCOME_STATES)[number];

/** Who a request belongs to: the four tokens that name it in every subject. */
export type RequestAddress = { tenant: string; project: string; model: string; id: string };

export type RequestSubject = RequestAddress & { kind: RunnerKind; priority: Priority };
export type OutcomeSubject = RequestAddress & { state: OutcomeState };

/** `req.<kind>.<priority>.<tenant>.<project>.<model>.<id>` */
export const requestSubject = (of: RequestSubject): string =>
  ["req", of.kind, of.priority, ...tokens([of.tenant, of.project, of.model, of.id])].join(".");

/** `out.<tenant>.<project>.<model>.<id>.<state>` */
export const outcomeSubject = (of: OutcomeSubject): string =>
  ["out", ...tokens([of.tenant, of.project, of.model, of.id]), of.state].join(".");

/**
 * The filter under which an outcome is compare-and-set: it covers `done` and `dead`, so one excludes the other. Every
 * writer must use this exact string: on a replicated stream the server compares filters literally.
 */
export const outcomeFilter = (of: RequestAddress): string =>
  ["out", ...tokens([of.tenant, of.project, of.model, of.id]), "*"].join(".");

/** `evt.<tenant>.<project>.<kind>.<detail…>` */
export const eventSubject = (of: {
  tenant: string;
  project: string;
  kind: string;
  detail: readonly string[];
}): string => ["evt", ...tokens([of.tenant, of.project, of.kind, ...of.detail])].join(".");

/**
 * `live.…`: outcomes as they are stored, republished by the stream. A plain subscriber to `out.>` would also see
 * writes that compare-and-set refused; a subscriber to `live.>` sees only what was stored. `*` for an absent part.
 */
export const liveSubject = (of: Partial<RequestAddress>): string =>
  ["live", orAny(of.tenant), orAny(of.project), orAny(of.model), orAny(of.id), "*"].join(".");

/** Filter over outcomes: absent parts match anything. */
export const outcomesOf = (of: Partial<OutcomeSubject>): string =>
  ["out", orAny(of.tenant), orAny(of.project), orAny(of.model), orAny(of.id), orAny(of.state)].join(".");

/** Filter over requests: absent parts match anything. */
export const requestsOf = (of: Partial<RequestSubject> & { kind: RunnerKind }): string =>
  ["req", of.kind, ...[of.priority, of.tenant, of.project, of.model, of.id].map(orAny)].join(".");

/** The parts of a request subject, or undefined when the subject is not one. */
export function parseRequestSubject(subject: string): RequestSubject | undefined {
  const [root, kind, priority, tenant, project, model, id, ...rest] = subject.split(".");
  if (root !== "req" || rest.length > 0 || !isOneOf(RUNNER_KINDS, kind) || !isOneOf(PRIORITIES, priority)) return;
  if (!isToken(tenant) || !isToken(project) || !isToken(model) || !isToken(id)) return;
  return { kind, priority, tenant, project, model, id };
}

/** The parts of an outcome subject (also as republished under `live.`), or undefined when the subject is not one. */
export function parseOutcomeSubject(subject: string): OutcomeSubject | undefined {
  const [root, tenant, project, model, id, state, ...rest] = subject.split(".");
  if ((root !== "out" && root !== "live") || rest.length > 0 || !isOneOf(OUTCOME_STATES, state)) return;
  if (!isToken(tenant) || !isToken(project) || !isToken(model) || !isToken(id)) return;
  return { tenant, project, model, id, state };
}

const isOneOf = <T extends string>(all: readonly T[], value: unknown): value is T => all.includes(value as T);

const tokens = (values: readonly string[]): readonly string[] => values.map(token);

/** A part of a filter: checked like any other, so that a filter is never wider than it was meant to be. */
const orAny = (value: string | undefined): string => (value === undefined ? "*" : token(value));

function token(value: string): string {
  if (isToken(value)) return value;
  throw new TypeError(`${JSON.stringify(value)} is not a subject token: use 1 to 64 of A-Z a-z 0-9 _ -`);
}
