import { type EncodedBody, HEADER_LENGTH, type Priority } from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import type { FastifyReply, FastifyRequest } from "fastify";
import { jsonState } from "../domain/answer.ts";
import { waitPreference } from "../domain/preferences.ts";
import type { Submission } from "../domain/submission.ts";
import {
  type Acceptance,
  accept,
  acceptAndWait,
  acceptedAnswer,
  type Declined,
  type SubmitCall,
  type SubmitDeps as SubmitParts,
  stateUrl,
  submissionOf,
} from "../domain/submit.ts";
import { type Handler, header, place } from "./call.ts";
import { refuse } from "./problems.ts";

export type SubmitDeps = SubmitParts & { log: Logger };

/** `POST …/requests`: checked, stored, 202; or 200 when the outcome comes within `Prefer: wait`. */
export const onSubmit =
  (deps: SubmitDeps): Handler =>
  async (request, reply) => {
    const submission = submissionOf(submitCallOf(request), bodyOf(request), deps);
    if (!submission.ok) return refuseSubmission(request, reply, submission);
    const wait_s = waitPreference(header(request, "prefer"));
    if (wait_s !== undefined) return await onWaitingSubmit(request, reply, submission.value, wait_s, deps);
    say(request, reply, submission.value);
    const accepted = await accept(submission.value, deps);
    if (!accepted.ok) return refuseSubmission(request, reply, accepted);
    return await answerAccepted(reply, submission.value, accepted.value, deps);
  };

async function onWaitingSubmit(
  request: FastifyRequest,
  reply: FastifyReply,
  submission: Submission,
  wait_s: number,
  deps: SubmitDeps,
) {
  say(request, reply, submission);
  const waited = await acceptAndWait(submission, waitOf(request, wait_s), deps);
  if (!waited.ok) return refuseSubmission(request, reply, waited);
  const { accepted, outcome } = waited.value;
  reply.header("Preference-Applied", `wait=${wait_s}`);
  if (!outcome) return await answerAccepted(reply, submission, accepted, deps);
  sayAccepted(reply, submission, accepted);
  return reply.code(200).send(jsonState(outcome));
}

/**
 * Until the time is over or the client is gone. Fastify's signal, when it is asked for before the body's stream has
 * closed, takes that for the client's going.
 */
export const waitOf = (request: FastifyRequest, wait_s: number) => ({
  timeout_ms: wait_s * 1_000,
  signal: () => request.signal,
});

/** What an HTTP call that submits says. */
export function submitCallOf(request: FastifyRequest): SubmitCall {
  const { call } = request;
  const { version } = call.params;
  const key = header(request, "idempotency-key");
  const correlationId = header(request, "x-correlation-id");
  const deadline = header(request, "millrace-deadline");
  return {
    ...place(call),
    ...(version === undefined ? {} : { version }),
    principal: call.caller.principal,
    traceparent: call.traceparent,
    priority: (call.query.priority ?? header(request, "millrace-priority") ?? "normal") as Priority,
    ...(key === undefined ? {} : { key }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(deadline === undefined ? {} : { deadline }),
  };
}

/** The body as it came: JSON, or binary when a header gives the length of its JSON part. */
export function bodyOf(request: FastifyRequest): EncodedBody {
  const bytes = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
  const length = header(request, HEADER_LENGTH);
  return length === undefined ? { bytes } : { bytes, headerLength: Number(length) };
}

/** Names the request, in the log line and to whoever asks, before anything can go wrong with it. */
export function say(request: FastifyRequest, reply: FastifyReply, { request: submitted }: Submission): void {
  request.call.id = submitted.id;
  reply.header("X-Correlation-Id", submitted.correlationId);
}

export function sayAccepted(reply: FastifyReply, { request }: Submission, { repeated }: Acceptance): void {
  reply.header("Location", stateUrl(request));
  if (repeated) reply.header("Idempotent-Replayed", "true");
}

export const refuseSubmission = (request: FastifyRequest, reply: FastifyReply, { problem, more }: Declined) =>
  refuse(request, reply, problem, more);

async function answerAccepted(reply: FastifyReply, submission: Submission, accepted: Acceptance, deps: SubmitDeps) {
  sayAccepted(reply, submission, accepted);
  return reply.code(202).send(await acceptedAnswer(submission.request, accepted, deps));
}
