import {
  consumerName,
  type DecodedRequest,
  type DoneRecord,
  type EncodedBody,
  type Envelope,
  encodeDone,
  fromHeaders,
  InferenceRequested,
  type Lane,
  laneKey,
  PRIORITY_WEIGHTS,
  type Problem,
  parseRequestSubject,
  problem,
  REQUEST_HEADERS,
  REQUEST_STREAM,
  type RequestAddress,
  type Result,
  requestsOf,
  retryDelay,
} from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import {
  type ConsumeHooks,
  type Consumption,
  consumeShared,
  type Delivery,
  type Handle,
  type SharedConsumption,
} from "./consume.ts";
import type { Lanes } from "./lanes.ts";
import {
  type Asked,
  askedOf,
  bodyOf,
  deadLetterOf,
  factsOf,
  type OutcomeFacts,
  outcomeMessage,
} from "./outcome-message.ts";
import { addressOf } from "./outgoing.ts";
import { done, retry, type Verdict } from "./verdict.ts";
import { wait } from "./wait.ts";

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
  | ({ kind: "done"; outcome: Omit<DoneRecord, keyof OutcomeFacts> } & Pick<
      DecodedRequest,
      "binaryOutput" | "parameters"
    >)
  | { kind: "retry"; why: string }
  | { kind: "reject"; problem: Problem };

export type RequestConsumerOptions = {
  model: string;
  lanes: Pick<Lanes, "follow">;
  batch_max: number;
  concurrency: number;
  /** Shares of tenants that wait at one priority; 1 each unless it stands here. */
  tenantWeights?: ReadonlyMap<string, number>;
  deliveries_max?: number;
  ack_wait_ms?: number;
  settled?: ConsumeHooks["settled"];
};

/**
 * Consumes the requests of one model, a durable per lane, the lanes taking turns by weight over rows; one that appears
 * later is taken in at once. What is not a request becomes a dead letter before the handler sees it, and so does one
 * whose deadline has passed; each verdict becomes an outcome, stored under compare-and-set before the request is acked.
 * @throws NatsError when the consumer of a lane that exists at the start can not be made
 */
export async function consumeRequests(
  bus: Bus,
  { model, lanes, tenantWeights, settled, ...spec }: RequestConsumerOptions,
  handle: (requests: readonly RequestDelivery[]) => Promise<readonly RequestVerdict[]>,
): Promise<Consumption> {
  const work: Handle = async (deliveries) => {
    const parsed = deliveries.map(parseRequest);
    const requests = parsed.flatMap((result) => (result.ok ? [result.value] : []));
    const given = requests.length > 0 ? await handle(requests) : [];
    if (given.length !== requests.length)
      throw new Error(`${given.length} verdicts for ${requests.length} requests of ${model}`);
    const verdicts = given[Symbol.iterator]();
    return parsed.map((result) =>
      result.ok ? toVerdict(bus, result.value, verdicts.next().value!) : { kind: "reject", problem: result.problem },
    );
  };
  const consumption = consumeShared(bus, workSpecOf(spec), work, {
    deadLetter: (delivery, why) => deadLetterOf(bus, delivery, why),
    ...(settled ? { settled } : {}),
  });
  const following = await addLanes(bus, consumption, { model, lanes, tenantWeights });
  return {
    get inFlight() {
      return consumption.inFlight;
    },
    get held() {
      return consumption.held;
    },
    get healthy() {
      return consumption.healthy;
    },
    async [Symbol.asyncDispose]() {
      following[Symbol.dispose]();
      await consumption[Symbol.asyncDispose]();
    },
  };
}

/** A model runs one batch after the other: what comes meanwhile goes together, unless it fills a quarter of a batch. */
const workSpecOf = (spec: Pick<RequestConsumerOptions, "batch_max" | "concurrency">) => ({
  suspect_after: SUSPECT_AFTER,
  settling_max: 2 * spec.batch_max,
  beside_min: Math.ceil(spec.batch_max / 4),
  ...spec,
});

/** Deaths of workers with the same request in hand that may be chance. */
const SUSPECT_AFTER = 3;

/** Adds the lanes of a model that exist, and from then on those that appear. */
async function addLanes(
  bus: Bus,
  consumption: SharedConsumption,
  of: Pick<RequestConsumerOptions, "model" | "lanes"> & { tenantWeights: ReadonlyMap<string, number> | undefined },
): Promise<Disposable> {
  const added = new Map<string, Promise<void>>();
  let stopped = false;
  const add = (lane: Lane) => {
    const { kind, priority, tenant, model } = lane;
    const source = {
      stream: REQUEST_STREAM[kind].name,
      durable: consumerName.lane(lane),
      filter: requestsOf({ kind, priority, tenant, model }),
    };
    const share = {
      class: priority,
      classWeight: PRIORITY_WEIGHTS[priority],
      weight: of.tenantWeights?.get(tenant) ?? 1,
    };
    return consumption.add(source, share, rowsOf);
  };
  const insist = async (lane: Lane) => {
    for (let tries = 1; !stopped; tries++) {
      try {
        return await add(lane);
      } catch (err) {
        bus.log.warn({ err, lane: laneKey(lane), tries }, "the lane's consumer cannot be made; trying again");
        await wait(retryDelay("infrastructure", tries) ?? 0);
      }
    }
  };
  let first = true;
  const following = of.lanes.follow((lane) => {
    const key = laneKey(lane);
    if (lane.kind !== "tensor" || lane.model !== of.model || added.has(key)) return;
    added.set(key, (first ? add : insist)(lane));
  });
  first = false;
  try {
    await Promise.all(added.values());
  } catch (cause) {
    following[Symbol.dispose]();
    await consumption[Symbol.asyncDispose]();
    throw cause;
  }
  return {
    [Symbol.dispose]() {
      stopped = true;
      following[Symbol.dispose]();
    },
  };
}

/** What a request costs its lane. Its header says so; a row takes at least a byte. */
function rowsOf({ header, body }: Delivery): number {
  const rows = Number(header(REQUEST_HEADERS.rows));
  return Number.isInteger(rows) ? Math.max(1, Math.min(rows, body.byteLength)) : 1;
}

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
  if (deadline_ms !== undefined && deadline_ms <= Date.now())
    return problem("deadline-exceeded", `its turn came after ${deadline}`);
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
      deliveries: delivery.deliveries,
    },
  };
}

function toVerdict(bus: Bus, request: RequestDelivery, verdict: RequestVerdict): Verdict {
  if (verdict.kind === "retry") return retry("infrastructure", verdict.why);
  if (verdict.kind === "reject") return verdict;
  const { parameters } = verdict;
  const asks = parameters ? { ...request.asked, request: { ...request.asked.request, parameters } } : request.asked;
  const body = encodeDone({ ...factsOf(request, asks), ...verdict.outcome }, verdict.binaryOutput ? "binary" : "json");
  const { attempt, answers, request: asked, replyTo } = request.asked;
  const ended = { attempt, answers, request: asked, body, source: request.envelope, replyTo };
  return done(outcomeMessage(bus, request, { state: "done", ...ended }));
}
