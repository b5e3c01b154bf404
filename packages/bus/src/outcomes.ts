import {
  type DeliveryFailed,
  DeliveryFailed as DeliveryFailedMessage,
  type DeliveryMade,
  DeliveryMade as DeliveryMadeMessage,
  decodeOutcome,
  type EncodedBody,
  type Envelope,
  effectId,
  eventSubject,
  fromHeaders,
  HEADER_LENGTH,
  liveSubject,
  OUTCOME_HEADERS,
  OUTCOMES,
  type Outcome,
  type OutcomeSubject,
  outcomeFilter,
  outcomeId,
  outcomesOf,
  type Problem,
  parseOutcomeSubject,
  problem,
  type RequestAddress,
  type Result,
} from "@millrace/contracts";
import type { Msg } from "nats";
import type { Bus } from "./bus.ts";
import { type ConsumeHooks, type ConsumerSpec, type Consumption, consume, type Delivery } from "./consume.ts";
import { headerReader } from "./header-reader.ts";
import type { Outgoing } from "./outgoing.ts";
import { readLast, type StoredMessage } from "./read.ts";
import type { Verdict } from "./verdict.ts";

/** A stored outcome: its record, and the bytes it was read from. */
export type StoredOutcome = {
  address: OutcomeSubject;
  /** Position in OUTCOMES. */
  sequence: number;
  /** Canonical bytes: what is hashed and what is delivered. */
  body: EncodedBody;
  envelope: Envelope;
  record: Outcome;
  /** Where it is sent as well: `ReplyTo` as text, of a request that came from Service Bus. */
  replyTo?: string;
};

/** The outcome of a request, or undefined while there is none. */
export async function readOutcome(bus: Bus, of: RequestAddress): Promise<StoredOutcome | undefined> {
  const stored = await readLast(bus, OUTCOMES.name, outcomeFilter(of));
  if (!stored) return undefined;
  return orThrow(toOutcome(stored.subject, stored.sequence, stored.body, stored.header));
}

/**
 * Calls back with each outcome as it is stored, while connected: at most once. Who must not miss one looks at the
 * stream as well. `of` narrows it; absent parts match anything. An outcome whose request id `wants` does not want is
 * passed over before it is read.
 */
export function listenOutcomes(
  bus: Bus,
  of: Partial<RequestAddress>,
  onOutcome: (outcome: StoredOutcome) => void,
  options: { once?: boolean; wants?: (id: string) => boolean } = {},
): Disposable {
  const subscription = bus.nc.subscribe(liveSubject(of), {
    ...(options.once ? { max: 1 } : {}),
    callback: (err, message: Msg) => {
      if (err) return bus.log.warn({ err }, "live subscription failed");
      if (options.wants?.(message.subject.split(".")[4] ?? "") === false) return;
      const outcome = toOutcome(
        message.subject,
        Number(message.headers?.get("Nats-Sequence")),
        message.data,
        headerReader(message.headers),
      );
      if (outcome.ok) onOutcome(outcome.value);
      else bus.log.error({ subject: message.subject, problem: outcome.problem }, "not an outcome");
    },
  });
  return { [Symbol.dispose]: () => subscription.unsubscribe() };
}

export type OutcomeConsumerOptions = Pick<
  ConsumerSpec,
  "durable" | "begin" | "batch_max" | "concurrency" | "deliveries_max" | "records" | "in_order"
> & {
  /** Absent parts match anything. */
  filter?: Partial<OutcomeSubject>;
  /** Names this effect in `delivery.failed` when a handler rejects: `channel` and `destination`. */
  effect: { channel: string; destination: string };
  settled?: ConsumeHooks["settled"];
};

/** A delivered outcome. */
export type OutcomeDelivery = StoredOutcome & {
  /** At its receiver: 1 + the failures that this process has seen. */
  attempt: number;
};

/**
 * Consumes outcomes with a durable of its own. A handler's reject is recorded as a `delivery.failed` event before the
 * outcome is acked: nothing is dropped silently.
 */
export const consumeOutcomes = (
  bus: Bus,
  { filter = {}, effect, settled, ...spec }: OutcomeConsumerOptions,
  handle: (outcomes: readonly OutcomeDelivery[]) => Promise<readonly Verdict[]>,
): Promise<Consumption> =>
  consume(
    bus,
    { stream: OUTCOMES.name, filter: outcomesOf(filter), ...spec },
    async (deliveries) => {
      const parsed = deliveries.map((delivery) =>
        toOutcome(delivery.subject, delivery.sequence, delivery.body, delivery.header),
      );
      const outcomes = parsed.flatMap((result, index) =>
        result.ok ? [{ ...result.value, attempt: deliveries[index]!.attempt }] : [],
      );
      const verdicts = (outcomes.length > 0 ? await handle(outcomes) : [])[Symbol.iterator]();
      return parsed.map((result) => (result.ok ? verdicts.next().value! : { kind: "reject", problem: result.problem }));
    },
    {
      deadLetter: (delivery, why) => failedDelivery(bus, delivery, why, effect),
      ...(settled ? { settled } : {}),
    },
  );

/** The event that an outcome reached a receiver: to be emitted with `done(…)`. Stored once per effect. */
export function deliveryMade(
  bus: Bus,
  outcome: OutcomeDelivery,
  effect: { channel: string; destination: string; status?: number },
): Outgoing {
  const { status, ...named } = effect;
  const body: DeliveryMade = {
    ...deliveryFacts(outcome.address, outcome.envelope, outcome.attempt, named),
    ...(status === undefined ? {} : { status }),
  };
  return deliveryEvent(bus, DeliveryMadeMessage.type, outcome.address, outcome.envelope, body);
}

function failedDelivery(bus: Bus, delivery: Delivery, why: Problem, effect: { channel: string; destination: string }) {
  const of = parseOutcomeSubject(delivery.subject);
  if (!of) {
    bus.log.error({ subject: delivery.subject, problem: why }, "a message that is not an outcome was passed over");
    return undefined;
  }
  const known = fromHeaders(delivery.header);
  const envelope = "missing" in known ? undefined : known;
  const body: DeliveryFailed = {
    ...deliveryFacts(of, envelope, delivery.attempt, effect),
    code: why.code,
    detail: why.detail.slice(0, 2000),
  };
  return deliveryEvent(bus, DeliveryFailedMessage.type, of, envelope, body);
}

const deliveryFacts = (
  of: OutcomeSubject,
  envelope: Envelope | undefined,
  attempts: number,
  effect: { channel: string; destination: string },
) => {
  // An outcome's event id is its outcome id; what has none was made by hand, and answers a first attempt.
  const outcome_id = envelope?.id ?? outcomeId(of.id, 1);
  return {
    outcome_id,
    effect_id: effectId(outcome_id, effect.destination),
    tenant: of.tenant,
    project: of.project,
    model: of.model,
    ...effect,
    attempts,
    at: new Date().toISOString(),
  };
};

function deliveryEvent(
  bus: Bus,
  type: string,
  of: OutcomeSubject,
  source: Envelope | undefined,
  body: DeliveryMade | DeliveryFailed,
): Outgoing {
  const { tenant, project, id } = of;
  const attempt = /\.(\d{1,9})$/.exec(body.outcome_id)?.[1] ?? "1";
  const subject = eventSubject({ tenant, project, kind: "delivery", detail: [body.destination, id, attempt] });
  return {
    subject,
    exclusive: subject,
    body: Buffer.from(JSON.stringify(body)),
    envelope: {
      id: body.effect_id,
      type,
      source: `/millrace/${bus.user}`,
      subject,
      time: body.at,
      datacontenttype: "application/json",
      correlationid: source?.correlationid ?? id,
      ...(source?.traceparent === undefined ? {} : { traceparent: source.traceparent }),
    },
  };
}

/** The outcome that a stored message is, or why it is none. */
export const outcomeIn = ({ subject, sequence, body, header }: StoredMessage): Result<StoredOutcome> =>
  toOutcome(subject, sequence, body, header);

function toOutcome(
  subject: string,
  sequence: number,
  bytes: Uint8Array,
  header: (name: string) => string | undefined,
): Result<StoredOutcome> {
  const address = parseOutcomeSubject(subject);
  if (!address) return problem("malformed-message", `${subject} is not the subject of an outcome`);
  const envelope = fromHeaders(header);
  if ("missing" in envelope)
    return problem("malformed-message", `the CloudEvents headers ${envelope.missing.join(", ")} are missing`);
  const length = header(HEADER_LENGTH);
  const body = length === undefined ? { bytes } : { bytes, headerLength: Number(length) };
  const record = decodeOutcome(body);
  if (!record.ok) return record;
  const replyTo = header(OUTCOME_HEADERS.replyTo);
  return {
    ok: true,
    value: { address, sequence, body, envelope, record: record.value, ...(replyTo === undefined ? {} : { replyTo }) },
  };
}

function orThrow<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(`${result.problem.code}: ${result.problem.detail}`);
}
