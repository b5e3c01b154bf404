import {
  type ErrorCode,
  PROBLEM_MEDIA_TYPE,
  type Problem,
  type ProblemDocument,
  problem,
  problemDocument,
} from "@millrace/contracts";
import { type Logger, traceId } from "@millrace/kit";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { brokerProblem } from "../adapters/streams.ts";
import type { Refusal } from "../domain/admission/model-queue.ts";

/** Errors as RFC 9457 documents: ours, Fastify's and those of the HTTP parser. */

type More = Parameters<typeof problemDocument>[2];

/** Answers with a problem. */
export function refuse(request: FastifyRequest, reply: FastifyReply, problem: Refusal, more: More = {}): FastifyReply {
  const document = problemDocument(
    problem,
    { instance: request.url.split("?", 1)[0]!, trace_id: traceId(request.call?.traceparent) },
    // Open Inference Protocol clients look for the reason in `error`.
    isOip(request) ? { ...more, error: problem.detail } : more,
  );
  if (document.status === 401) reply.header("WWW-Authenticate", 'Bearer realm="millrace"');
  const retry_after_s = retryAfter(problem);
  if (retry_after_s !== undefined) reply.header("Retry-After", String(retry_after_s));
  return reply.code(document.status).type(PROBLEM_MEDIA_TYPE).send(JSON.stringify(document));
}

/** Seconds after which it is worth trying again, where nothing better is known. */
const RETRY_AFTER_S: Partial<Record<ErrorCode, number>> = {
  unavailable: 1,
  "storage-full": 30,
  "too-many-listeners": 5,
};

/** When it is worth trying again, in seconds; undefined when nothing is known of it. */
export const retryAfter = ({ code, retry_after_s }: Refusal): number | undefined =>
  retry_after_s ?? RETRY_AFTER_S[code];

/** Fastify's own errors, as ours. https://fastify.dev/docs/latest/Reference/Errors/ */
const FASTIFY_ERRORS: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "body-too-large",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "unsupported-media-type",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "malformed-body",
  FST_ERR_BAD_URL: "invalid-token",
};

/** Makes every error of this application a problem document. */
export function problemErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const found = known(error);
    if (!found || found.code === "unavailable")
      log[found ? "warn" : "error"]({ err: error, trace_id: traceId(request.call?.traceparent) }, "a request failed");
    return refuse(request, reply, found ?? problem("internal", "the request failed; the log names the cause").problem);
  });
}

export function known(error: Error & { code?: string; statusCode?: number }): Problem | undefined {
  const code = FASTIFY_ERRORS[error.code ?? ""];
  if (code) return { code, detail: error.message };
  const broker = brokerProblem(error);
  if (broker) return broker;
  // The client went away or broke off in the middle; the answer reaches nobody.
  if (error.code === "ECONNRESET") return { code: "malformed-body", detail: "the body ended early" };
  if (error.statusCode !== undefined && error.statusCode < 500)
    return { code: "malformed-body", detail: error.message };
  return undefined;
}

/** The answer to bytes that are not an HTTP request, or came too slowly: written to the bare socket. */
export function bareProblem(error: { code?: string; message: string }): string {
  const code: ErrorCode =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? "request-timeout"
      : error.code === "HPE_HEADER_OVERFLOW"
        ? "headers-too-large"
        : "malformed-http";
  const document: ProblemDocument = problemDocument(problem(code, error.message).problem, { instance: "/" });
  const body = JSON.stringify(document);
  return [
    `HTTP/1.1 ${document.status} ${document.title}`,
    `Content-Type: ${PROBLEM_MEDIA_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}

const isOip = (request: FastifyRequest) => /^(\/v1\/[^/]+\/[^/]+)?\/v2(\/|$)/.test(request.url);
