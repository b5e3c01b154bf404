/**
 * Every error Millrace reports, to HTTP clients (RFC 9457), in dead letters and in events. Codes are permanent: a
 * client may branch on them. `type` of the problem document is `urn:millrace:error:<code>`.
 */
export const ERRORS = {
  "malformed-json": { status: 400, title: "The body is not JSON", fix: "Send one JSON document in UTF-8." },
  "malformed-body": {
    status: 400,
    title: "The body does not have the expected form",
    fix: "Compare it with the schema in the API documents.",
  },
  "unsupported-media-type": {
    status: 415,
    title: "The content type is not supported",
    fix: "Use a content type that the API documents name for this route.",
  },
  "unknown-input": {
    status: 400,
    title: "An input has a name the model does not know",
    fix: "Use the input names of the model's metadata.",
  },
  "unknown-output": {
    status: 400,
    title: "An output was asked for that the model does not have",
    fix: "Use the output names of the model's metadata, or ask for none to get all.",
  },
  "missing-input": {
    status: 400,
    title: "An input the model needs is missing",
    fix: "Send every input of the model's metadata.",
  },
  "wrong-datatype": {
    status: 400,
    title: "An input has the wrong datatype",
    fix: "Use the datatype of the model's metadata.",
  },
  "wrong-shape": {
    status: 400,
    title: "An input has the wrong shape",
    fix: "Use the shape of the model's metadata; -1 stands for the number of rows.",
  },
  "wrong-value": {
    status: 400,
    title: "A value does not fit its datatype",
    fix: "Send finite numbers in the range of the datatype; NaN and Infinity are not data.",
  },
  "too-many-rows": {
    status: 413,
    title: "The request has too many rows",
    fix: "Split it, or use the bulk route, which packs rows by itself.",
  },
  "body-too-large": {
    status: 413,
    title: "The body is too large",
    fix: "Split it, or use the bulk route, which is read as a stream.",
  },
  "nothing-accepted": {
    status: 400,
    title: "No line of the upload could be used",
    fix: "Look at the errors of the lines; the forms of a line are in the API documents.",
  },
  "line-too-long": {
    status: 400,
    title: "The line is too long",
    fix: "Check that every reading ends with a line feed.",
  },
  "too-many-lines": {
    status: 413,
    title: "The upload has more lines or makes more requests than one upload may",
    fix: "Send the rest, from the line named, as another upload.",
  },
  "malformed-http": {
    status: 400,
    title: "This is not an HTTP request",
    fix: "Check the client or proxy in between.",
  },
  "headers-too-large": {
    status: 431,
    title: "The request's headers are too large",
    fix: "Send fewer or shorter headers; 16 KiB in all is the bound.",
  },
  "request-timeout": {
    status: 408,
    title: "The request did not arrive in time",
    fix: "Send it again; split what takes minutes to send.",
  },
  "invalid-token": {
    status: 400,
    title: "A name in the path cannot be used",
    fix: "Use 1 to 64 of the characters A-Z a-z 0-9 _ - for tenant, project, model and id.",
  },
  "invalid-header": {
    status: 400,
    title: "A request header cannot be used",
    fix: "See the header's description in the API documents.",
  },
  "invalid-query": {
    status: 400,
    title: "A query parameter cannot be used",
    fix: "See the parameter's description in the API documents.",
  },
  "invalid-property": {
    status: 400,
    title: "A property of the Service Bus message cannot be used",
    fix: "See the table of properties in the bridge's README.",
  },
  unauthenticated: {
    status: 401,
    title: "The request carries no valid token",
    fix: "Send the header `Authorization: Bearer <token>`.",
  },
  forbidden: {
    status: 403,
    title: "The token does not allow this",
    fix: "Ask for a grant on this tenant and project, or use the project your token is for.",
  },
  "ambiguous-grant": {
    status: 403,
    title: "The token has several grants, so the project is not clear",
    fix: "Use the route under /v1/{tenant}/{project}/v2/… instead.",
  },
  "unknown-model": {
    status: 404,
    title: "No such model is deployed",
    fix: "List the deployed models, or deploy this one.",
  },
  "unknown-request": {
    status: 404,
    title: "No such request is known",
    fix: "Check the id, tenant, project and model; a request is known as long as its stream retains it.",
  },
  "unknown-route": { status: 404, title: "No such route", fix: "See the API documents." },
  "idempotency-conflict": {
    status: 409,
    title: "The idempotency key was used for another body",
    fix: "Use a new key for a new request.",
  },
  "tenant-over-share": {
    status: 429,
    title: "This tenant has more waiting than its share of the model's speed allows",
    fix: "Send again after the time that Retry-After names, with the same idempotency key.",
  },
  overloaded: {
    status: 503,
    title: "The model cannot take more now",
    fix: "Send again after the time that Retry-After names, with the same idempotency key.",
  },
  "too-late": {
    status: 503,
    title: "The request would not run before its deadline",
    fix: "Send it again later, or with a later deadline.",
  },
  "unknown-dead-letter": {
    status: 404,
    title: "No such dead letter is known",
    fix: "Check the id; list the dead letters of the project.",
  },
  "dead-letter-decided": {
    status: 409,
    title: "The dead letter was redriven or discarded before",
    fix: "Look at its decision; list the dead letters that are open.",
  },
  "dead-letter-replaced": {
    status: 409,
    title: "The dead letter is not the one that was meant",
    fix: "Look at it again, and name the sequence that it has now.",
  },
  "payload-gone": {
    status: 410,
    title: "The original payload is not retained any more",
    fix: "Redrive with a payload of your own, or discard it.",
  },
  "unknown-bridge-route": {
    status: 404,
    title: "The project has no such route to Service Bus",
    fix: "List the project's routes; those of the bridge's configuration file are not among them.",
  },
  "route-name-taken": {
    status: 409,
    title: "Another project has a route of this name",
    fix: "Choose another name: it names the durable consumer, of which there is one.",
  },
  "too-many-routes": {
    status: 409,
    title: "The project has as many routes as it may",
    fix: "Delete one that is not used, or let one route take what several do.",
  },
  "storage-full": {
    status: 503,
    title: "The streams are full",
    fix: "Try again later; nothing of this request was kept.",
  },
  unavailable: {
    status: 503,
    title: "The broker did not confirm the request",
    fix: "Try again with the same idempotency key.",
  },
  "wait-timeout": {
    status: 504,
    title: "The outcome did not come in time; the request goes on",
    fix: "Ask for its state at the location named.",
  },
  "too-many-listeners": {
    status: 503,
    title: "Too many event streams are open",
    fix: "Try again later, or ask for the state instead.",
  },
  internal: {
    status: 500,
    title: "Something is wrong on our side",
    fix: "Try again; if it stays, report the trace id.",
  },
  // Reasons that appear only in dead letters and events.
  "deadline-exceeded": {
    status: 504,
    title: "The deadline had passed before the request could run",
    fix: "Send it again with a later deadline, or at a higher priority.",
  },
  "poison-message": {
    status: 422,
    title: "The message was delivered too often without an outcome",
    fix: "Look at the worker's log for this id, mend the cause, then send it again.",
  },
  "malformed-message": {
    status: 422,
    title: "The message on the stream is not a request",
    fix: "Publish through ingest, which validates.",
  },
  "digest-mismatch": {
    status: 422,
    title: "The payload is not the one that was accepted",
    fix: "Send the request again.",
  },
  "model-failed": {
    status: 422,
    title: "The model failed on this input",
    fix: "Look at the reason; the same input will fail again.",
  },
  "model-crashed": {
    status: 422,
    title: "The model's process died on this input",
    fix: "Look at the reason; the same input will crash again.",
  },
  "model-timeout": {
    status: 422,
    title: "The model did not answer within its time limit",
    fix: "Raise timeout_ms in the manifest, or send fewer rows.",
  },
  "model-invalid-output": {
    status: 422,
    title: "The model gave values that are not numbers",
    fix: "Check the input's range; the model is not defined there.",
  },
  "delivery-refused": {
    status: 422,
    title: "The receiver refused the delivery for good",
    fix: "Look at the reason, mend the receiver, then redeliver.",
  },
  "delivery-exhausted": {
    status: 422,
    title: "The delivery was tried as often as allowed",
    fix: "Mend the receiver, then redeliver.",
  },
} as const satisfies Record<string, { status: number; title: string; fix: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** What is wrong, as a value: a permanent code, a sentence about this case, and where in the input it is. */
export type Problem = {
  code: ErrorCode;
  /** What happened and why, in one sentence. */
  detail: string;
  /** JSON pointer (RFC 6901) into the body, or `line N` of a bulk upload. */
  at?: string;
};

/** A value, or what is wrong. */
export type Result<T> = { ok: true; value: T } | { ok: false; problem: Problem };
export const ok = <T>(value: T): Result<T> => ({ ok: true, value });
export const problem = (code: ErrorCode, detail: string, at?: string): { ok: false; problem: Problem } => ({
  ok: false,
  problem: at === undefined ? { code, detail } : { code, detail, at },
});
