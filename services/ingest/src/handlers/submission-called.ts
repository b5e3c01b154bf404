import type { SubmissionAnswer, SubmissionCall } from "@millrace/bus";
import {
  type EncodedBody,
  HEADER_LENGTH,
  LIMITS,
  OPERATIONS,
  PRINCIPAL_HEADER,
  type Priority,
  parseReplyTo,
  problem,
  problemDocument,
  REQUEST_HEADERS,
  type Submission,
  SubmissionHeaders,
  type SubmissionPlace,
  submissionSubject,
} from "@millrace/contracts";
import { Counter, childTraceparent, type Logger, plainLines, type Registry, traceId } from "@millrace/kit";
import { headerCheck, mediaCheck } from "../domain/headers.ts";
import {
  accept,
  acceptedAnswer,
  type Declined,
  type SubmitCall,
  type SubmitDeps,
  submissionOf,
} from "../domain/submit.ts";
import { known, retryAfter } from "./problems.ts";

type Deps = SubmitDeps & { log: Logger; metrics: Registry };
type Told = { id?: string };

/** A submission over NATS: the same as `POST …/requests`, without waiting for the outcome. One log line each. */
export function onSubmissionCalled(deps: Deps): (call: SubmissionCall) => Promise<SubmissionAnswer> {
  const calls = new Counter({
    name: "millrace_nats_submissions_total",
    help: "Submissions over NATS by status",
    labelNames: ["status"],
    registers: [deps.metrics],
  });
  const lines = plainLines(deps.log); // the fields below are all there are: none is a secret
  return async (call) => {
    const started = performance.now();
    const traceparent = childTraceparent(call.headers.traceparent);
    const told: Told = {};
    const result = await submit(call, traceparent, told, deps).catch((err: unknown) => failed(err, deps.log));
    const answer: SubmissionAnswer = result.ok
      ? { ok: true, submission: result.value }
      : declined(call, result, traceId(traceparent));
    const status = answer.ok ? 202 : answer.problem.status;
    calls.inc({ status });
    lines.info(
      {
        operation: "submission",
        subject: submissionSubject(call),
        status,
        duration_ms: Math.round((performance.now() - started) * 100) / 100,
        ...told,
        principal: call.headers[PRINCIPAL_HEADER],
        trace_id: traceId(traceparent),
      },
      "nats",
    );
    return answer;
  };
}

/** What is said to a call that comes while as many are under way as may be. */
export const tooManySubmissions = (place: SubmissionPlace): SubmissionAnswer =>
  declined(place, problem("unavailable", "too many submissions are under way in this process"));

const checks = [headerCheck(SubmissionHeaders), mediaCheck(Object.keys(OPERATIONS.submitRequest.body!.content))];

async function submit(
  call: SubmissionCall,
  traceparent: string,
  told: Told,
  deps: Deps,
): Promise<{ ok: true; value: Submission } | Declined> {
  const { headers, body } = call;
  if (!headers[PRINCIPAL_HEADER]) return problem("unauthenticated", `the header ${PRINCIPAL_HEADER} is missing`);
  for (const check of checks) {
    const wrong = check(headers);
    if (wrong) return { ok: false, problem: wrong };
  }
  const replyTo = headers[REQUEST_HEADERS.replyTo];
  if (replyTo !== undefined && !parseReplyTo(replyTo))
    return problem("invalid-header", `${REQUEST_HEADERS.replyTo} is not the address of a reply`);
  if (body.byteLength > LIMITS.body_bytes)
    return problem("body-too-large", `the body is ${body.byteLength} bytes, more than ${LIMITS.body_bytes}`);
  const submission = submissionOf(submitCallOf(call, traceparent), bodyOf(call), deps);
  if (!submission.ok) return submission;
  told.id = submission.value.request.id;
  const accepted = await accept(submission.value, deps);
  if (!accepted.ok) return accepted;
  return { ok: true, value: await acceptedAnswer(submission.value.request, accepted.value, deps) };
}

function submitCallOf({ tenant, project, model, headers }: SubmissionCall, traceparent: string): SubmitCall {
  const optional = {
    priority: headers["millrace-priority"] as Priority | undefined,
    key: headers["idempotency-key"],
    correlationId: headers["x-correlation-id"],
    deadline: headers["millrace-deadline"],
    replyTo: headers[REQUEST_HEADERS.replyTo],
  };
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { tenant, project, model, principal: headers[PRINCIPAL_HEADER]!, traceparent, ...given };
}

function bodyOf({ headers, body: bytes }: SubmissionCall): EncodedBody {
  const length = headers[HEADER_LENGTH];
  return length === undefined ? { bytes } : { bytes, headerLength: Number(length) };
}

function failed(err: unknown, log: Logger): Declined {
  const found = known(err as Error);
  log[found ? "warn" : "error"]({ err }, "a submission failed");
  return found ? { ok: false, problem: found } : problem("internal", "the request failed; the log names the cause");
}

function declined(place: SubmissionPlace, { problem: why, more }: Declined, trace_id?: string): SubmissionAnswer {
  const retry_after_s = retryAfter(why);
  return {
    ok: false,
    problem: problemDocument(why, { instance: submissionSubject(place), trace_id }, more),
    ...(retry_after_s === undefined ? {} : { retry_after_s }),
  };
}
