import { createHash } from "node:crypto";
import { REDRIVE_PROPERTIES, type ReceivedMessage } from "@millrace/azure";
import type { SubmissionCall } from "@millrace/bus";
import {
  formatReplyTo,
  HEADER_LENGTH,
  isToken,
  PRINCIPAL_HEADER,
  type Problem,
  REQUEST_HEADERS,
  type ReplyTo,
  type Source,
  SubmissionHeaders,
} from "@millrace/contracts";
import { Value } from "typebox/value";
import { replyPlace } from "./reply-place.ts";

/** The request that a Service Bus message is, or what is wrong with it; and where the answer goes, if one is wanted. */
export type RequestInMessage =
  | { ok: true; call: SubmissionCall; replyTo: ReplyTo | undefined }
  | { ok: false; problem: Problem; replyTo: ReplyTo | undefined };

/** What else it depends on. */
export type Here = {
  source: Source;
  /** Of the namespace. */
  host: string;
  now_ms: number;
  /** Longest body that can be submitted. */
  body_bytes_max: number;
};

/**
 * Reads a message as a request. Whatever a redelivery, a duplicate or another process makes of it has the same key, so
 * that it is one request.
 */
export function requestIn(message: ReceivedMessage, { source, host, now_ms, body_bytes_max }: Here): RequestInMessage {
  const reply = replyOf(message, source, host);
  if (!reply.ok) return { ok: false, problem: reply.problem, replyTo: undefined };
  const { replyTo } = reply;
  const refuse = (code: Problem["code"], detail: string): RequestInMessage => ({
    ok: false,
    problem: { code, detail },
    replyTo,
  });
  const model = source.model ?? property(message, "model");
  if (model === undefined)
    return refuse(
      "invalid-property",
      `the source "${source.name}" names no model, and neither does the property "model"`,
    );
  if (!isToken(model)) return refuse("invalid-property", `the property "model" cannot be the name of a model`);
  const body = bodyOf(message.body);
  if (!body) return refuse("malformed-body", "the body is an AMQP value or sequence; a request is bytes, or text");
  if (body.byteLength > body_bytes_max)
    return refuse("body-too-large", `the body is ${body.byteLength} bytes, more than ${body_bytes_max}`);
  const deadline = property(message, "millrace-deadline");
  // Not the sender's mistake, as it is over HTTP: it was right when it was sent.
  if (deadline !== undefined && Date.parse(deadline) <= now_ms)
    return refuse("deadline-exceeded", `its turn came after ${deadline}`);
  const headers = {
    "idempotency-key": keyOf(message, source.name),
    "x-correlation-id": [text(message.correlationId), originalIdOf(message)].find(isCorrelationId),
    traceparent: property(message, "traceparent") ?? property(message, "Diagnostic-Id"),
    "content-type": message.contentType,
    [HEADER_LENGTH]: property(message, HEADER_LENGTH),
    "millrace-priority": property(message, "millrace-priority"),
    "millrace-deadline": deadline,
    [PRINCIPAL_HEADER]: `servicebus:${source.name}`,
    [REQUEST_HEADERS.replyTo]: replyTo && formatReplyTo(replyTo),
  };
  const unfit = Object.entries(headers).find(([, value]) => value !== undefined && !/^[\x20-\x7e]*$/.test(value));
  if (unfit) return refuse("invalid-property", `"${unfit[0]}" has characters that it cannot have`);
  const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
  const { tenant, project } = source;
  return { ok: true, call: { tenant, project, model, body, headers: given as Record<string, string> }, replyTo };
}

/**
 * What names the request: its source and `MessageId`. Without one, its place in the entity, which a redelivery shares and
 * a second send of the same does not; with the time, since numbers begin anew in an entity that was made again.
 */
export function keyOf(message: ReceivedMessage, source: string): string {
  const id = originalIdOf(message);
  const name =
    id === undefined
      ? ["sequence", String(message.sequenceNumber), String(message.enqueuedTimeUtc?.getTime())]
      : ["message", id];
  const digest = createHash("sha256").update(JSON.stringify(name)).digest("base64url");
  return `servicebus:${source}:${digest}`;
}

/** The `MessageId` that the sender gave; the one before a redrive gave it another. */
export const originalIdOf = (message: ReceivedMessage): string | undefined =>
  property(message, REDRIVE_PROPERTIES.originalMessageId) ?? text(message.messageId);

function replyOf(
  message: ReceivedMessage,
  source: Source,
  host: string,
): { ok: true; replyTo: ReplyTo | undefined } | { ok: false; problem: Problem } {
  if (!message.replyTo) return { ok: true, replyTo: undefined };
  const place = replyPlace(message.replyTo, { host, own: source.queue ?? source.topic! });
  if (!place.ok) return place;
  const { replyToSessionId: session } = message;
  const replyTo: ReplyTo = {
    source: source.name,
    entity: place.entity,
    ...(session === undefined ? {} : { session }),
    message: originalIdOf(message) ?? text(message.correlationId) ?? "",
  };
  return { ok: true, replyTo };
}

const isCorrelationId = (value: string | undefined): value is string =>
  value !== undefined && Value.Check(SubmissionHeaders.properties["x-correlation-id"]!, value);

/** An application property as text. */
function property({ applicationProperties }: ReceivedMessage, name: string): string | undefined {
  const value = applicationProperties?.[name];
  if (value === undefined || value === null) return undefined;
  return value instanceof Date ? value.toISOString() : String(value);
}

/** AMQP ids are text, numbers or bytes. */
function text(id: ReceivedMessage["messageId"] | undefined): string | undefined {
  if (id === undefined || id === null || id === "") return undefined;
  return Buffer.isBuffer(id) ? id.toString("hex") : String(id);
}

function bodyOf(body: unknown): Buffer | undefined {
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return typeof body === "string" ? Buffer.from(body) : undefined;
}
