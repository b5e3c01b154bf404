import Type, { type TObject } from "typebox";
import { REQUEST_HEADERS } from "./envelope.ts";
import type { ErrorCode } from "./errors.ts";
import { OPERATIONS } from "./http/operations.ts";
import { InferRequest } from "./oip.ts";
import { ReplyAddress } from "./reply-address.ts";
import { isToken } from "./subjects.ts";

/**
 * Submitting over NATS: request-reply on `in.<tenant>.<project>.<model>`. Body, headers and answers are those of the HTTP
 * route `submitRequest`, so that one description serves both; header names count without regard to case.
 */

export type SubmissionPlace = { tenant: string; project: string; model: string };

/** What ingest listens to. */
export const SUBMISSION_SUBJECTS = "in.*.*.*";

/** Where a request for a model is submitted. @throws TypeError when a part is not a subject token */
export function submissionSubject({ tenant, project, model }: SubmissionPlace): string {
  for (const token of [tenant, project, model])
    if (!isToken(token)) throw new TypeError(`${JSON.stringify(token)} is not a subject token`);
  return `in.${tenant}.${project}.${model}`;
}

/** The parts of a submission's subject, or undefined when it is none. */
export function parseSubmissionSubject(subject: string): SubmissionPlace | undefined {
  const [root, tenant, project, model, ...rest] = subject.split(".");
  if (root !== "in" || rest.length > 0 || !isToken(tenant) || !isToken(project) || !isToken(model)) return undefined;
  return { tenant, project, model };
}

/** Header that names who asks. Only users that may publish `in.>` can set it, and those are services: it is believed. */
export const PRINCIPAL_HEADER = "millrace-principal";

const { prefer: _, ...shared } = OPERATIONS.submitRequest.headers!.properties;

/** Headers of a submission: those of the HTTP route but `Prefer`, since the outcome does not come as the answer. */
export const SubmissionHeaders: TObject = Type.Object({
  ...shared,
  [PRINCIPAL_HEADER]: Type.String({
    pattern: "^[A-Za-z0-9._:@/-]{1,128}$",
    description: "Opaque id of who asks, as the service that passes the request on knows it",
  }),
  [REQUEST_HEADERS.replyTo]: Type.Optional(ReplyAddress),
});

/** The call as the AsyncAPI document shows it. */
export const SUBMISSION_CALL = {
  name: "submission",
  address: "in.{tenant}.{project}.{model}",
  description:
    "Submits a request, as `POST /v1/{tenant}/{project}/models/{model}/requests` does: same body, same checks, same admission. The answer is the document of the 202, or a problem document with its status also in `Nats-Service-Error-Code`.",
  headers: SubmissionHeaders,
  request: InferRequest,
  /** Errors beside those of the HTTP route. */
  errors: ["unauthenticated", "internal"] as const satisfies readonly ErrorCode[],
  from: ["bridge"],
  to: "ingest",
} as const;

/** Headers of an answer that is a problem (NATS services, ADR-32), so that any NATS tool sees the failure. */
export const SERVICE_ERROR_CODE = "Nats-Service-Error-Code";
export const SERVICE_ERROR = "Nats-Service-Error";
