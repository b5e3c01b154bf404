import {
  consumerName,
  type DeadOutcome,
  type DecodedRequest,
  type DoneRecord,
  digestOf,
  type EncodedBody,
  type Envelope,
  encodeDead,
  encodeDone,
  fromHeaders,
  InferenceCompleted,
  InferenceDeadLettered,
  InferenceRequested,
  isToken,
  type OutcomeState,
  outcomeFilter,
  outcomeId,
  outcomeSubject,
  type Priority,
  type Problem,
  parseRequestSubject,
  problem,
  REQUEST_HEADERS,
  REQUEST_STREAM,
  type RequestAddress,
  type Result,
  reasonOf,
  requestSubject,
  requestsOf,
} from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { type ConsumeHooks, type Consumption, consume, type Delivery } from "./consume.ts";
import type { Outgoing } from "./outgoing.ts";
import { readLast } from "./read.ts";
import { done, retry, type Verdict } from "./verdict.ts";

/** A request that passed validation, ready to be stored. */
export type NewRequest = RequestAddress & {
  priority: Priority;
  body: EncodedBody;
  /** Rows of its inputs. */
  rows: number;
  /** The model it was validated against: redelivery uses this stamp. */
  modelVersion: string;
  modelDigest: string;
  correlationId: string;
  principal?: string;
  traceparent?: string;
};

export type Accepted =
  /** `repeated`: the same request was accepted before, and this is that job. */
  | { kind: "accepted"; sequence: number; digest: string; repeated: boolean }
  /** The id stands for another body. */
  | { kind: "conflict"; digest: string; existing: string };

/**
 * Stores a request once per id: the stream refuses a second message for the id, whatever its priority. A repeat with
 * the same body is the same job; with another body it is a conflict.
 * @throws StorageFullError, UnconfirmedError
 */
export async function publishRequest(bus: Bus, request: NewRequest): Promise<Accepted> {
  const digest = digestOf(request.body.bytes);
  const of = { kind: "tensor", ...address(request) } as const;
  const subject = requestSubject({ ...of, priority: request.priority });
  const exclusive = requestsOf(of);
  const stored = await bus.store({
    subject,
    exclusive,
    body: request.body.bytes,
    ...(request.body.headerLength === undefined ? {} : { headerLength: request.body.headerLength }),
    envelope: {
      id: request.id,
      type: InferenceRequested.type,
      source: `/millrace/${bus.user}`,
      subject,
      time: new Date().toISOString(),
      datacontenttype: contentType(request.body),
      correlationid: request.correlationId,
      ...(request.principal === undefined ? {} : { principal: request.principal }),
      ...(request.traceparent === undefined ? {} : { traceparent: request.traceparent }),
    },
    headers: {
      [REQUEST_HEADERS.digest]: digest,
      [REQUEST_HEADERS.rows]: String(request.rows),
      [REQUEST_HEADERS.modelVersion]: request.modelVersion,
      [REQUEST_HEADERS.modelDigest]: request.modelDigest,
    },
  });
  if (stored.stored) return { kind: "accepted", sequence: stored.sequence, digest, repeated: false };
  const existing = await readLast(bus, REQUEST_STREAM.tensor.name, exclusive);
  const other = existing?.header(REQUEST_HEADERS.digest) ?? (existing ? digestOf(existing.body) : undefined);
  if (existing && other === digest) return { kind: "accepted", sequence: existing.sequence, digest, repeated: true };
  return { kind: "conflict", digest, existing: other ?? "unknown" };
}

/** Whether a request of this id is retained. */
export async function requestExists(bus: Bus, of: RequestAddress): Promise<boolean> {
  return (
    (await readLast(bus, REQUEST_STREAM.tensor.name, requestsOf({ kind: "tensor", ...address(of) }))) !== undefined
  );
}

/** A delivered request whose subject, envelope and digest were checked. The body is not decoded yet. */
export type RequestDelivery = RequestAddress & {
  body: EncodedBody;
  modelVersion: string | undefined;
  modelDigest: string | undefined;
  envelope: Envelope;
  asked: DeadOutcome["request"];
  attempt: number;
};

/** What a worker says of one request. */
export type RequestVerdict =
  | { kind: "done"; outcome: Omit<DoneRecord, keyof Facts>; binaryOutput: DecodedRequest["binaryOutput"] }
  | { kind: "retry"; why: string }
  | { kind: "reject"; problem: Problem };

/** What the bus knows of an outcome by itself. */
type Facts = Pick<DeadOutcome, "id" | "attempt" | "tenant" | "project" | "request" | "completed_at">;

export type RequestConsumerOptions = {
  model: string;
  batch_max: number;
  concurrency: number;
  settled?: ConsumeHooks["settled"];
};

/**
 * Consumes the requests of one model. What is not a request becomes a dead letter before the handler sees it; each
 * verdict becomes an outcome, stored under compare-and-set before the request is acked.
 */
export const consumeRequests = (
  bus: Bus,
  options: RequestConsumerOptions,
  handle: (requests: readonly RequestDelivery[]) => Promise<readonly RequestVerdict[]>,
): Promise<Consumption> =>
  consume(
    bus,
    {
      stream: REQUEST_STREAM.tensor.name,
      durable: consumerName.inference(options.model),
      filter: requestsOf({ kind: "tensor", model: options.model }),
      batch_max: options.batch_max,
      concurrency: options.concurrency,
    },
    async (deliveries) => {
      const parsed = deliveries.map(parseRequest);
      const requests = parsed.flatMap((result) => (result.ok ? [result.value] : []));
      const given = requests.length > 0 ? await handle(requests) : [];
      if (given.length !== requests.length)
        throw new Error(`${given.length} verdicts for ${requests.length} requests of ${options.model}`);
      const verdicts = given[Symbol.iterator]();
      return parsed.map((result) =>
        result.ok ? toVerdict(bus, result.value, verdicts.next().value!) : { kind: "reject", problem: result.problem },
      );
    },
    { deadLetter: (delivery, problem) => deadLetterOf(bus, delivery, problem), ...hook(options.settled) },
  );

/**
 * Looks at the headers of every request and dead-letters those that no worker pool will ever take: a model that is
 * not deployed, or a subject that is not a request's. Such messages come only from outside ingest.
 */
export const consumeStrays = (bus: Bus, isServed: (model: string) => boolean): Promise<Consumption> =>
  consume(
    bus,
    {
      stream: REQUEST_STREAM.tensor.name,
      durable: consumerName.strays(),
      headers_only: true,
      batch_max: 1_000,
      concurrency: 1,
    },
    (deliveries) =>
      Promise.all(
        deliveries.map(async (delivery): Promise<Verdict> => {
          const of = parseRequestSubject(delivery.subject);
          // A model's own consumer sees every subject with its name, well-formed or not.
          const model = of?.model ?? delivery.subject.split(".")[5] ?? "";
          if (isServed(model)) return done();
          // A model deployed a moment ago may be known to ingest before it is known here.
          if (delivery.attempt < STRAY_LOOKS) return retry("infrastructure", "the model may have just been deployed");
          const { problem: why } = of
            ? problem("unknown-model", `no worker serves a model named "${of.model}"`)
            : problem("malformed-message", `${delivery.subject} is not the subject of a request`);
          // Only headers were delivered; the dead letter states the digest of the whole message.
          const { data } = await bus.jsm.streams.getMessage(delivery.stream, { seq: delivery.sequence });
          return done(deadLetterOf(bus, { ...delivery, body: data }, why));
        }),
      ),
    { deadLetter: (delivery, problem) => deadLetterOf(bus, delivery, problem) },
  );

/** Looks at a stray, about a second in all, before it is believed to be one. */
const STRAY_LOOKS = 3;

function parseRequest(delivery: Delivery): Result<RequestDelivery> {
  const of = parseRequestSubject(delivery.subject);
  if (!of) return problem("malformed-message", `${delivery.subject} is not the subject of a request`);
  const envelope = fromHeaders(delivery.header);
  if ("missing" in envelope)
    return problem("malformed-message", `the CloudEvents headers ${envelope.missing.join(", ")} are missing`);
  if (envelope.type !== InferenceRequested.type)
    return problem("malformed-message", `its ce-type is "${envelope.type}", not "${InferenceRequested.type}"`);
  const asked = askedOf(delivery, of.id, envelope);
  const stated = delivery.header(REQUEST_HEADERS.digest);
  if (stated !== asked.digest)
    return problem(
      "digest-mismatch",
      `${REQUEST_HEADERS.digest} says ${stated ?? "nothing"}, the body is ${asked.digest}`,
    );
  return {
    ok: true,
    value: {
      ...address(of),
      body: bodyOf(delivery),
      modelVersion: delivery.header(REQUEST_HEADERS.modelVersion),
      modelDigest: delivery.header(REQUEST_HEADERS.modelDigest),
      envelope,
      asked,
      attempt: delivery.attempt,
    },
  };
}

function toVerdict(bus: Bus, request: RequestDelivery, verdict: RequestVerdict): Verdict {
  if (verdict.kind === "retry") return retry("infrastructure", verdict.why);
  if (verdict.kind === "reject") return verdict;
  const body = encodeDone(
    { ...factsOf(request, request.asked), ...verdict.outcome },
    verdict.binaryOutput ? "binary" : "json",
  );
  return done(outcomeMessage(bus, request, { state: "done", body, source: request.envelope }));
}

/** The one place where the message that ends a request is made. */
function outcomeMessage(
  bus: Bus,
  of: RequestAddress,
  outcome: {
    state: OutcomeState;
    body: EncodedBody;
    source: { correlationid: string; principal?: string; traceparent?: string };
  },
): Outgoing {
  const subject = outcomeSubject({ ...address(of), state: outcome.state });
  const { correlationid, principal, traceparent } = outcome.source;
  return {
    subject,
    exclusive: outcomeFilter(of),
    body: outcome.body.bytes,
    ...(outcome.body.headerLength === undefined ? {} : { headerLength: outcome.body.headerLength }),
    envelope: {
      id: outcomeId(of.id, FIRST_ATTEMPT),
      type: outcome.state === "done" ? InferenceCompleted.type : InferenceDeadLettered.type,
      source: `/millrace/${bus.user}`,
      subject,
      time: new Date().toISOString(),
      datacontenttype: contentType(outcome.body),
      correlationid,
      ...(principal === undefined ? {} : { principal }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  };
}

/** Redrive makes further attempts; until then every outcome answers the first. */
const FIRST_ATTEMPT = 1;

function deadLetterOf(bus: Bus, delivery: Delivery, why: Problem): Outgoing {
  const of = parseRequestSubject(delivery.subject) ?? salvage(delivery);
  const asked = askedOf(delivery, of.id);
  const traceparent = delivery.header("traceparent");
  const body = encodeDead({
    ...factsOf(of, asked),
    state: "dead",
    model: { name: of.model },
    reason: reasonOf(why.code, why.detail, why.at),
    deliveries: delivery.attempt,
  });
  return outcomeMessage(bus, of, {
    state: "dead",
    body,
    source: {
      correlationid: asked.correlation_id,
      ...(asked.principal === undefined ? {} : { principal: asked.principal }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  });
}

/** An address for a message whose subject holds no valid one: what can be read of it, and its position as the id. */
function salvage(delivery: Delivery): RequestAddress {
  const [, , , tenant, project, model] = delivery.subject.split(".");
  const token = (value: string | undefined) => {
    const readable = (value ?? "").replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64);
    return isToken(readable) ? readable : "unknown";
  };
  const id = `${delivery.stream}-${delivery.sequence}`;
  return { tenant: token(tenant), project: token(project), model: token(model), id };
}

function askedOf(delivery: Delivery, id: string, envelope = fromHeaders(delivery.header)): DeadOutcome["request"] {
  const known = "missing" in envelope ? undefined : envelope;
  const rows = Number(delivery.header(REQUEST_HEADERS.rows));
  return {
    digest: digestOf(delivery.body),
    stream: delivery.stream,
    sequence: delivery.sequence,
    subject: delivery.subject,
    accepted_at: known?.time ?? delivery.stored_at.toISOString(),
    correlation_id: known?.correlationid ?? id,
    ...(known?.principal === undefined ? {} : { principal: known.principal }),
    ...(Number.isInteger(rows) && rows > 0 ? { rows } : {}),
  };
}

const factsOf = (of: RequestAddress, asked: DeadOutcome["request"]): Facts => ({
  id: of.id,
  attempt: FIRST_ATTEMPT,
  tenant: of.tenant,
  project: of.project,
  request: asked,
  completed_at: new Date().toISOString(),
});

const address = ({ tenant, project, model, id }: RequestAddress): RequestAddress => ({ tenant, project, model, id });

const bodyOf = ({ body, headerLength }: Delivery): EncodedBody =>
  headerLength === undefined ? { bytes: body } : { bytes: body, headerLength };

const contentType = (body: EncodedBody) =>
  body.headerLength === undefined ? "application/json" : "application/octet-stream";

const hook = (settled: ConsumeHooks["settled"]) => (settled ? { settled } : {});
