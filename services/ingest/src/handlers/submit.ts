import {
  type EncodedBody,
  HEADER_LENGTH,
  type ModelDeployment,
  type Priority,
  type Submission as SubmissionAnswer,
} from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import type { FastifyReply, FastifyRequest } from "fastify";
import { jsonState } from "../domain/answer.ts";
import type { Intake, Models, OutcomeWaits, StoredOutcome, Streams } from "../domain/ports.ts";
import { deadlineOf, idempotencyKey, waitPreference } from "../domain/preferences.ts";
import { type Origin, prepareSubmission, type Submission } from "../domain/submission.ts";
import { type Handler, header, place, stateUrl } from "./call.ts";
import { refuse } from "./problems.ts";

export type SubmitDeps = { models: Models; streams: Streams; intake: Intake; waits: OutcomeWaits; log: Logger };

/** `POST …/requests`: checked, stored, 202; or 200 when the outcome comes within `Prefer: wait`. */
export const onSubmit =
  (deps: SubmitDeps): Handler =>
  async (request, reply) => {
    const { streams, intake } = deps;
    const submission = submissionOf(request, reply, deps);
    if (!submission) return reply;
    const wait_s = waitPreference(header(request, "prefer"));
    if (wait_s === undefined) {
      const accepted = await accept(request, reply, submission, intake);
      if (!accepted) return reply;
      return answerAccepted(reply, submission, accepted, streams);
    }
    const waited = await acceptAndWait(request, reply, submission, wait_s, deps);
    if (!waited) return reply;
    reply.header("Preference-Applied", `wait=${wait_s}`);
    if (!waited.outcome) return answerAccepted(reply, submission, waited.accepted, streams);
    return reply.code(200).send(jsonState(waited.outcome));
  };

/** The request that this call asks for; undefined after answering why there can be none. */
export function submissionOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { models, intake }: SubmitDeps,
): Submission | undefined {
  const origin = originOf(request, reply, models, intake);
  if (!origin) return undefined;
  const prepared = prepareSubmission(bodyOf(request), origin);
  if (prepared.ok) return prepared.value;
  void refuse(request, reply, prepared.problem);
  return undefined;
}

/**
 * Stores a request and waits for its outcome, which may not come in time; undefined after answering that its key stands
 * for another body. Listens before it stores, so that no outcome is too quick to be seen.
 */
export async function acceptAndWait(
  request: FastifyRequest,
  reply: FastifyReply,
  submission: Submission,
  wait_s: number,
  { intake, waits }: SubmitDeps,
): Promise<{ accepted: Acceptance; outcome: StoredOutcome | undefined } | undefined> {
  using waiting = waits.begin(submission.request);
  const accepted = await accept(request, reply, submission, intake);
  if (!accepted) return undefined;
  if (accepted.repeated) waiting.look();
  return { accepted, outcome: await waiting.outcome({ timeout_ms: wait_s * 1_000, signal: request.signal }) };
}

/**
 * What the requests of this call share; undefined after answering why there can be none.
 * Asked of a model that is not deployed, or has no place in its queue, nothing of the body is looked at.
 */
export function originOf(
  request: FastifyRequest,
  reply: FastifyReply,
  models: Models,
  intake: Intake,
): Origin | undefined {
  const model = deployed(request, reply, models);
  if (!model) return undefined;
  const { call } = request;
  const { tenant, project } = place(call);
  const key = idempotencyKey(header(request, "idempotency-key"));
  const correlationId = header(request, "x-correlation-id");
  const priority = (call.query.priority ?? header(request, "millrace-priority") ?? "normal") as Priority;
  const deadline = deadlineOf(header(request, "millrace-deadline"), Date.now());
  if (!deadline.ok) {
    void refuse(request, reply, deadline.problem);
    return undefined;
  }
  // With a key it may be a repeat, which needs no place.
  const refusal =
    key === undefined
      ? intake.refusal(model.manifest.name, { tenant, priority, deadline_ms: deadline.value })
      : undefined;
  if (refusal) {
    void refuse(request, reply, refusal);
    return undefined;
  }
  return {
    tenant,
    project,
    model,
    priority,
    principal: call.caller.principal,
    traceparent: call.traceparent,
    ...(key === undefined ? {} : { key }),
    ...(deadline.value === undefined ? {} : { deadline: new Date(deadline.value).toISOString() }),
    ...(correlationId === undefined ? {} : { correlationId }),
  };
}

/** The model of the path, in its version if the path names one; undefined after answering that there is none. */
export function deployed(request: FastifyRequest, reply: FastifyReply, models: Models): ModelDeployment | undefined {
  const { model: name, version } = request.call.params;
  const model = models.get(name!);
  if (model && (version === undefined || version === model.manifest.version)) return model;
  const detail = model
    ? `"${name}" is deployed in version ${model.manifest.version}, not ${version}`
    : `no model named "${name}" is deployed`;
  void refuse(request, reply, { code: "unknown-model", detail });
  return undefined;
}

type Acceptance = { digest: string; repeated: boolean };

/** Stores a request; undefined after answering that there is no place for it, or that its key stands for another body. */
async function accept(
  request: FastifyRequest,
  reply: FastifyReply,
  { request: submitted }: Submission,
  intake: Intake,
): Promise<Acceptance | undefined> {
  request.call.id = submitted.id;
  reply.header("X-Correlation-Id", submitted.correlationId);
  const accepted = await intake.publish(submitted);
  if (accepted.kind === "accepted") {
    reply.header("Location", stateUrl(submitted));
    if (accepted.repeated) reply.header("Idempotent-Replayed", "true");
    return accepted;
  }
  if (accepted.kind === "refused") {
    void refuse(request, reply, accepted.refusal);
    return undefined;
  }
  const { digest: given, existing } = accepted;
  void refuse(
    request,
    reply,
    { code: "idempotency-conflict", detail: `the key stands for request ${submitted.id}, whose body is another` },
    { digests: { given, existing }, location: stateUrl(submitted) },
  );
  return undefined;
}

/** The body as it came: JSON, or binary when a header gives the length of its JSON part. */
function bodyOf(request: FastifyRequest): EncodedBody {
  const bytes = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
  const length = header(request, HEADER_LENGTH);
  return length === undefined ? { bytes } : { bytes, headerLength: Number(length) };
}

async function answerAccepted(
  reply: FastifyReply,
  { request }: Submission,
  { digest, repeated }: Acceptance,
  streams: Streams,
) {
  const self = stateUrl(request);
  // Only a repeat can have an outcome already.
  const outcome = repeated ? await streams.outcome(request) : undefined;
  const answer: SubmissionAnswer = {
    id: request.id,
    state: outcome?.address.state ?? "pending",
    durability: streams.durability,
    digest,
    model: { name: request.model, version: request.modelVersion },
    repeated,
    links: { self, events: `${self}/events` },
  };
  return reply.code(202).send(answer);
}
