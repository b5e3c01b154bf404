import {
  type DeadOutcome,
  digestOf,
  type EncodedBody,
  type Envelope,
  encodeDead,
  fromHeaders,
  InferenceCompleted,
  InferenceDeadLettered,
  isToken,
  OUTCOME_HEADERS,
  type OutcomeState,
  outcomeFilter,
  outcomeId,
  outcomeSubject,
  PREVIOUS_MAX,
  PreviousAttempt,
  type Problem,
  parametersIn,
  parseRequestSubject,
  REPLY_ADDRESS_MAX,
  REQUEST_HEADERS,
  type RequestAddress,
  reasonOf,
} from "@millrace/contracts";
import Type from "typebox";
import { Compile } from "typebox/compile";
import type { Bus } from "./bus.ts";
import type { Delivery } from "./consume.ts";
import { addressOf, contentTypeOf, type Outgoing } from "./outgoing.ts";
import { attemptOf } from "./requests.ts";

/** What the bus knows of an outcome by itself, from the request that it answers. */
export type OutcomeFacts = Pick<
  DeadOutcome,
  "id" | "attempt" | "tenant" | "project" | "request" | "completed_at" | "previous"
>;

/** What the headers and the position of a delivered request say. */
export type Asked = {
  request: DeadOutcome["request"];
  attempt: number;
  /** Position of the dead letter that the outcome replaces; 0 for a first attempt. */
  answers: number;
  previous: readonly PreviousAttempt[];
  /** Where the outcome is sent as well, as the request says. */
  replyTo: string | undefined;
};

/** The one place where the message that ends a request is made. */
export function outcomeMessage(
  bus: Bus,
  of: RequestAddress,
  outcome: {
    state: OutcomeState;
    attempt: number;
    answers: number;
    /** Where the request is that it ends. */
    request: { stream: string; sequence: number };
    body: EncodedBody;
    source: Pick<Envelope, "correlationid" | "principal" | "traceparent">;
    replyTo: string | undefined;
  },
): Outgoing {
  const subject = outcomeSubject({ ...addressOf(of), state: outcome.state });
  const correlationid = fitting(outcome.source.correlationid) ?? of.id;
  const principal = fitting(outcome.source.principal);
  const traceparent = fitting(outcome.source.traceparent);
  const replyTo = fitting(outcome.replyTo, REPLY_ADDRESS_MAX);
  return {
    subject,
    exclusive: outcomeFilter(of),
    expected: outcome.answers,
    body: outcome.body.bytes,
    headers: {
      [OUTCOME_HEADERS.request]: `${outcome.request.stream}:${outcome.request.sequence}`,
      ...(replyTo === undefined ? {} : { [OUTCOME_HEADERS.replyTo]: replyTo }),
    },
    ...(outcome.body.headerLength === undefined ? {} : { headerLength: outcome.body.headerLength }),
    envelope: {
      id: outcomeId(of.id, outcome.attempt),
      type: outcome.state === "done" ? InferenceCompleted.type : InferenceDeadLettered.type,
      source: `/millrace/${bus.user}`,
      subject,
      time: new Date().toISOString(),
      datacontenttype: contentTypeOf(outcome.body),
      correlationid,
      ...(principal === undefined ? {} : { principal }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  };
}

/**
 * Headers of a request follow it into its outcome, unless they are longer than any of ours: the server bounds a
 * message's headers to 64 KiB, and an outcome has some that its request had not.
 */
const fitting = (value: string | undefined, length_max = FOLLOWING_MAX): string | undefined =>
  value !== undefined && value.length <= length_max ? value : undefined;
const FOLLOWING_MAX = 1_024;

/** The dead letter of a delivery, whatever the delivery is: it may be no request at all. */
export function deadLetterOf(bus: Bus, delivery: Delivery, why: Problem): Outgoing {
  const of = parseRequestSubject(delivery.subject) ?? salvageAddress(delivery);
  const asked = askedOf(delivery, of.id);
  // What may have killed a process is not parsed again.
  const parameters = why.code === "poison-message" ? undefined : parametersIn(bodyOf(delivery));
  const traceparent = delivery.header("traceparent");
  const contentType = delivery.header("content-type");
  const body = encodeDead({
    ...factsOf(of, parameters ? { ...asked, request: { ...asked.request, parameters } } : asked),
    state: "dead",
    model: { name: of.model },
    reason: reasonOf(why.code, why.detail, why.at),
    deliveries: delivery.deliveries,
    payload: {
      size_bytes: delivery.body.byteLength,
      ...(contentType === undefined ? {} : { content_type: contentType }),
      ...(delivery.headerLength === undefined || !Number.isSafeInteger(delivery.headerLength)
        ? {}
        : { header_length: Math.max(0, delivery.headerLength) }),
    },
  });
  const { correlation_id, principal } = asked.request;
  return outcomeMessage(bus, of, {
    state: "dead",
    attempt: asked.attempt,
    answers: asked.answers,
    request: asked.request,
    body,
    source: {
      correlationid: correlation_id,
      ...(principal === undefined ? {} : { principal }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
    replyTo: asked.replyTo,
  });
}

/** What was asked, as far as headers and position tell. */
export function askedOf(delivery: Delivery, id: string, envelope = fromHeaders(delivery.header)): Asked {
  const known = "missing" in envelope ? undefined : envelope;
  const rows = Number(delivery.header(REQUEST_HEADERS.rows));
  const deadline = delivery.header(REQUEST_HEADERS.deadline);
  const answers = Number(delivery.header(REQUEST_HEADERS.answers) ?? 0);
  return {
    // In canonical order, here and below: then nothing needs to be put in order for each outcome.
    request: {
      accepted_at: known?.time ?? delivery.stored_at.toISOString(),
      correlation_id: known?.correlationid ?? id,
      ...(deadline === undefined ? {} : { deadline }),
      digest: digestOf(delivery.body),
      ...(known?.principal === undefined ? {} : { principal: known.principal }),
      ...(Number.isInteger(rows) && rows > 0 ? { rows } : {}),
      sequence: delivery.sequence,
      stream: delivery.stream,
      subject: delivery.subject,
    },
    attempt: attemptOf(delivery),
    answers: Number.isSafeInteger(answers) && answers >= 0 ? answers : 0,
    previous: previousOf(delivery.header(REQUEST_HEADERS.history)),
    replyTo: delivery.header(REQUEST_HEADERS.replyTo),
  };
}

export const factsOf = (of: RequestAddress, { request, attempt, previous }: Asked): OutcomeFacts => ({
  attempt,
  completed_at: new Date().toISOString(),
  id: of.id,
  ...(previous.length > 0 ? { previous: [...previous] } : {}),
  project: of.project,
  request,
  tenant: of.tenant,
});

export const bodyOf = ({ body, headerLength }: Pick<Delivery, "body" | "headerLength">): EncodedBody =>
  headerLength === undefined ? { bytes: body } : { bytes: body, headerLength };

const history = Compile(Type.Array(PreviousAttempt));

/** The attempts before, as the header lists them; a header that does not read is passed over: it decides nothing. */
function previousOf(header: string | undefined): readonly PreviousAttempt[] {
  if (header === undefined) return [];
  try {
    // An escape can stand for half a character, which has no canonical form.
    const listed: unknown = JSON.parse(header, (_, value) =>
      typeof value === "string" ? value.toWellFormed() : value,
    );
    return history.Check(listed) ? listed.slice(-PREVIOUS_MAX) : [];
  } catch {
    return [];
  }
}

/** An address for a message whose subject holds no valid one: what can be read of it, and its position as the id. */
export function salvageAddress(delivery: Pick<Delivery, "subject" | "stream" | "sequence">): RequestAddress {
  const [, , , tenant, project, model] = delivery.subject.split(".");
  const token = (value: string | undefined) => {
    const readable = (value ?? "").replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64);
    return isToken(readable) ? readable : "unknown";
  };
  const id = `${delivery.stream}-${delivery.sequence}`;
  return { tenant: token(tenant), project: token(project), model: token(model), id };
}
