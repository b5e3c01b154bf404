import type { EncodedBody, ModelDeployment, Priority, Submission as SubmissionAnswer } from "@millrace/contracts";
import type { Refusal } from "./admission/model-queue.ts";
import type { Project } from "./grants.ts";
import type { Intake, Models, OutcomeWaits, StoredOutcome, Streams, Submitted } from "./ports.ts";
import { deadlineOf, idempotencyKey } from "./preferences.ts";
import { type Origin, prepareSubmission, type Submission } from "./submission.ts";

/** Submitting a request, whichever front it came by: HTTP and NATS read a call each in their way, and call the same. */

/** A call that submits, as its front has read it. Its headers were checked against the operation's schema. */
export type SubmitCall = Project & {
  model: string;
  /** Only this version will do. */
  version?: string;
  principal: string;
  traceparent: string;
  priority?: Priority;
  /** As the headers say them. */
  key?: string;
  correlationId?: string;
  deadline?: string;
  replyTo?: string;
};

export type SubmitDeps = { models: Models; streams: Streams; intake: Intake; waits: OutcomeWaits };

/** Why nothing is stored, and what its asker may want to know beside. */
export type Declined = {
  ok: false;
  problem: Refusal;
  more?: { digests: { given: string; existing: string }; location: string };
};
type Outcome<T> = { ok: true; value: T } | Declined;

/**
 * What the requests of a call share. Asked of a model that is not deployed, or has no place in its queue, nothing of the
 * body is looked at.
 */
export function originOf(call: SubmitCall, { models, intake }: SubmitDeps): Outcome<Origin> {
  const model = deployed(call, models);
  if (!model.ok) return model;
  const { tenant, project, principal, traceparent, correlationId, replyTo, priority = "normal" } = call;
  const key = idempotencyKey(call.key);
  const deadline = deadlineOf(call.deadline, Date.now());
  if (!deadline.ok) return deadline;
  // With a key it may be a repeat, which needs no place.
  const refusal =
    key === undefined
      ? intake.refusal(model.value.manifest.name, { tenant, priority, deadline_ms: deadline.value })
      : undefined;
  if (refusal) return { ok: false, problem: refusal };
  const origin: Origin = {
    tenant,
    project,
    model: model.value,
    priority,
    principal,
    traceparent,
    ...(key === undefined ? {} : { key }),
    ...(deadline.value === undefined ? {} : { deadline: new Date(deadline.value).toISOString() }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(replyTo === undefined ? {} : { replyTo }),
  };
  return { ok: true, value: origin };
}

/** The request that a call asks for. */
export function submissionOf(call: SubmitCall, body: EncodedBody, deps: SubmitDeps): Outcome<Submission> {
  const origin = originOf(call, deps);
  return origin.ok ? prepareSubmission(body, origin.value) : origin;
}

/** The deployed model of a name, in the version if one is asked for. */
export function deployed(
  { model: name, version }: Pick<SubmitCall, "model" | "version">,
  models: Models,
): Outcome<ModelDeployment> {
  const model = models.get(name);
  if (model && (version === undefined || version === model.manifest.version)) return { ok: true, value: model };
  const detail = model
    ? `"${name}" is deployed in version ${model.manifest.version}, not ${version}`
    : `no model named "${name}" is deployed`;
  return { ok: false, problem: { code: "unknown-model", detail } };
}

export type Acceptance = { digest: string; repeated: boolean };

/**
 * Stores a request, or says that there is no place for it, or that its key stands for another body.
 * @throws StorageFullError, UnconfirmedError
 */
export async function accept({ request }: Submission, { intake }: SubmitDeps): Promise<Outcome<Acceptance>> {
  const accepted = await intake.publish(request);
  if (accepted.kind === "accepted") return { ok: true, value: accepted };
  if (accepted.kind === "refused") return { ok: false, problem: accepted.refusal };
  const { digest: given, existing } = accepted;
  return {
    ok: false,
    problem: {
      code: "idempotency-conflict",
      detail: `the key stands for request ${request.id}, whose body is another`,
    },
    more: { digests: { given, existing }, location: stateUrl(request) },
  };
}

/**
 * Stores a request and waits for its outcome, which may not come in time. Listens before it stores, so that no outcome
 * is too quick to be seen. The signal is asked for when waiting begins.
 */
export async function acceptAndWait(
  submission: Submission,
  wait: { timeout_ms: number; signal: () => AbortSignal },
  deps: SubmitDeps,
): Promise<Outcome<{ accepted: Acceptance; outcome: StoredOutcome | undefined }>> {
  using waiting = deps.waits.begin(submission.request);
  const accepted = await accept(submission, deps);
  if (!accepted.ok) return accepted;
  if (accepted.value.repeated) waiting.look();
  return {
    ok: true,
    value: {
      accepted: accepted.value,
      outcome: await waiting.outcome({ timeout_ms: wait.timeout_ms, signal: wait.signal() }),
    },
  };
}

/** The document of a 202. */
export async function acceptedAnswer(
  request: Submitted,
  { digest, repeated }: Acceptance,
  { streams }: SubmitDeps,
): Promise<SubmissionAnswer> {
  const self = stateUrl(request);
  // Only a repeat can have an outcome already.
  const outcome = repeated ? await streams.outcome(request) : undefined;
  return {
    id: request.id,
    state: outcome?.address.state ?? "pending",
    durability: streams.durability,
    digest,
    model: { name: request.model, version: request.modelVersion },
    repeated,
    links: { self, events: `${self}/events` },
  };
}

/** Where a request's state is. */
export const stateUrl = (of: { tenant: string; project: string; model: string; id: string }): string =>
  `/v1/${of.tenant}/${of.project}/models/${of.model}/requests/${of.id}`;
