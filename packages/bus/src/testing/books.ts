import {
  decodeOutcome,
  HEADER_LENGTH,
  OUTCOMES,
  type Outcome,
  parseRequestSubject,
  REQUEST_HEADERS,
  type RequestSubject,
} from "@millrace/contracts";
import type { Broker } from "./broker.ts";
import type { Watch } from "./client.ts";
import type { Kept, Stream } from "./stream.ts";
import type { Process, World } from "./world.ts";

/** An outcome as the books know it. */
export type Ended = { sequence: number; record: Outcome };
/** A request as the books know it. */
export type Begun = { sequence: number; of: RequestSubject; attempt: number; digest: string };

/**
 * What the promises of Millrace mean for each single step, checked by one who sees everything at the moment it happens:
 * the broker's streams, and what processes say to it.
 */
export type Books = Watch & {
  /** What went against a promise, in order. */
  readonly violations: readonly string[];
  violated(what: string): void;
  /** Requests by id, in stream order. */
  readonly requests: ReadonlyMap<string, readonly Begun[]>;
  /** Outcomes by request id, in stream order; the last one counts. */
  readonly outcomes: ReadonlyMap<string, readonly Ended[]>;
  /** Asks for more to be looked at when a delivery is acknowledged. */
  onAck(look: (durable: string, message: Kept) => void): void;
  /** What must hold when everything has come to rest. */
  close(): void;
};

/** @param quiet_ms from when on nothing goes wrong any more */
export function openBooks(world: World, broker: Broker, { quiet_ms }: { quiet_ms: number }): Books {
  const violations: string[] = [];
  const requests = new Map<string, Begun[]>();
  const outcomes = new Map<string, Ended[]>();
  /** Positions of requests that an outcome answers. */
  const answered = new Set<string>();
  /** Who has what in hand since the world is quiet. */
  const hands = new Map<string, Process>();
  const looks: ((durable: string, message: Kept) => void)[] = [];

  const violated = (what: string) => {
    world.note(`VIOLATED: ${what}`);
    violations.push(what);
  };

  const begin = (message: Kept) => {
    const of = parseRequestSubject(message.subject);
    if (!of) return;
    const attempt = Number(message.headers?.get(REQUEST_HEADERS.attempt) || 1);
    const digest = message.headers?.get(REQUEST_HEADERS.digest) ?? "";
    const before = listed(requests, of.id);
    const last = before.at(-1);
    if (last && attempt !== last.attempt + 1)
      violated(`request ${of.id} was stored twice: attempt ${last.attempt}, then ${attempt}`);
    before.push({ sequence: message.sequence, of, attempt, digest });
  };

  const end = (message: Kept) => {
    const length = message.headers?.get(HEADER_LENGTH);
    const decoded = decodeOutcome({ bytes: message.data, ...(length ? { headerLength: Number(length) } : {}) });
    if (!decoded.ok) return violated(`${message.subject} is not an outcome: ${decoded.problem.detail}`);
    const record = decoded.value;
    const before = listed(outcomes, record.id);
    const last = before.at(-1)?.record;
    if (last?.state === "done") violated(`${record.id} was done and got a second outcome, ${record.state}`);
    else if (last && record.attempt <= last.attempt)
      violated(`${record.id} was dead and got a second outcome, ${record.state}, without a redrive`);
    const request = requests.get(record.id)?.find(({ sequence }) => sequence === record.request.sequence);
    if (request && request.digest !== "" && record.state === "done" && request.digest !== record.request.digest)
      violated(`the outcome of ${record.id} states a digest that is not its request's`);
    if (!broker.streams.get(record.request.stream)?.get(record.request.sequence))
      violated(`${record.id} has an outcome for a request that does not exist`);
    before.push({ sequence: message.sequence, record });
    world.count(record.state === "done" ? "done" : record.reason.code);
    answered.add(`${record.request.stream} ${record.request.sequence}`);
  };

  /** Whether an outcome answers this very message, or a later attempt of its id has one. */
  const isAnswered = (message: Kept, stream: string) => {
    if (answered.has(`${stream} ${message.sequence}`)) return true;
    const of = parseRequestSubject(message.subject);
    const last = of && outcomes.get(of.id)?.at(-1);
    return last !== undefined && last.record.request.sequence >= message.sequence;
  };

  broker.onStored((stream: Stream, message: Kept) => {
    if (stream.name === OUTCOMES.name) end(message);
    else if (stream.name.startsWith("REQUESTS")) begin(message);
  });

  return {
    violations,
    violated,
    requests,
    outcomes,
    onAck: (look) => void looks.push(look),
    arrived({ durable, delivered, by }) {
      const { message } = delivered;
      const key = `${durable.name} ${message.sequence}`;
      const holder = hands.get(key);
      if (holder?.alive && !holder.stopping)
        violated(`${message.subject} came again to ${by.name} while ${holder.name} had it in hand, and kept silent`);
      if (world.now_ms >= quiet_ms) hands.set(key, by);
    },
    settled(what, { durable, delivered, by, delay_ms }) {
      const { message } = delivered;
      hands.delete(`${durable.name} ${message.sequence}`);
      if (what === "nak") {
        if (!by.stopping && !(delay_ms !== undefined && delay_ms > 0))
          violated(`${durable.name} gave ${message.subject} back without a delay`);
        return;
      }
      if (isWorker(durable.name) && !isAnswered(message, durable.stream))
        violated(`${durable.name} settled (${what}) ${message.subject} before its outcome was stored`);
      for (const look of looks) look(durable.name, message);
    },
    close() {
      for (const [id, attempts] of requests) {
        const last = attempts.at(-1)!;
        const counts = outcomes.get(id)?.at(-1);
        if (!counts) violated(`${id} was accepted and has no outcome`);
        else if (counts.record.attempt !== last.attempt)
          violated(`the last attempt of ${id} (${last.attempt}) has no outcome`);
      }
      for (const { name, waiting, unacked } of broker.durables.values())
        if (waiting + unacked > 0) violated(`${name} still has ${waiting} waiting and ${unacked} unacknowledged`);
    },
  };
}

/** Durables whose ack says that a request has ended; the strays' consumer only looks. */
const isWorker = (durable: string) => durable.startsWith("inference") && !durable.endsWith("strays");

function listed<T>(of: Map<string, T[]>, key: string): T[] {
  const list = of.get(key) ?? [];
  of.set(key, list);
  return list;
}
