import {
  consumerName,
  type DecodedRequest,
  type DoneRecord,
  type EncodedBody,
  type Envelope,
  encodeDone,
  fromHeaders,
  InferenceRequested,
  type Problem,
  parseRequestSubject,
  problem,
  REQUEST_HEADERS,
  REQUEST_STREAM,
  type RequestAddress,
  type Result,
  requestsOf,
} from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { type ConsumeHooks, type Consumption, consume, type Delivery } from "./consume.ts";
import { type Asked, askedOf, deadLetterOf, factsOf, type OutcomeFacts, outcomeMessage } from "./outcome-message.ts";
import { addressOf } from "./outgoing.ts";
import { done, retry, type Verdict } from "./verdict.ts";

/** A delivered request whose subject, envelope and digest were checked. The body is not decoded yet. */
export type RequestDelivery = RequestAddress & {
  body: EncodedBody;
  modelVersion: string | undefined;
  modelDigest: string | undefined;
  envelope: Envelope;
  asked: Asked;
  /** After this time (milliseconds since 1970) it is not run any more. */
  deadline_ms: number | undefined;
  /** Deliveries so far, this one included. */
  deliveries: number;
};

/** What a worker says of one request. */
export type RequestVerdict =
  | { kind: "done"; outcome: Omit<DoneRecord, keyof OutcomeFacts>; binaryOutput: DecodedRequest["binaryOutput"] }
  | { kind: "retry"; why: string }
  | { kind: "reject"; problem: Problem };

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
  if (stated !== asked.request.digest)
    return problem(
      "digest-mismatch",
      `${REQUEST_HEADERS.digest} says ${stated ?? "nothing"}, the body is ${asked.request.digest}`,
    );
  const { deadline } = asked.request;
  const deadline_ms = deadline === undefined ? undefined : Date.parse(deadline);
  if (Number.isNaN(deadline_ms))
    return problem("malformed-message", `${REQUEST_HEADERS.deadline} is not a time: "${deadline?.slice(0, 40)}"`);
  return {
    ok: true,
    value: {
      ...addressOf(of),
      body: bodyOf(delivery),
      modelVersion: delivery.header(REQUEST_HEADERS.modelVersion),
      modelDigest: delivery.header(REQUEST_HEADERS.modelDigest),
      envelope,
      asked,
      deadline_ms,
      deliveries: delivery.attempt,
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
  const { attempt, answers } = request.asked;
  return done(outcomeMessage(bus, request, { state: "done", attempt, answers, body, source: request.envelope }));
}

const bodyOf = ({ body, headerLength }: Delivery): EncodedBody =>
  headerLength === undefined ? { bytes: body } : { bytes: body, headerLength };

const hook = (settled: ConsumeHooks["settled"]) => (settled ? { settled } : {});
