import {
  type DeadLetterDecision,
  DeadLetterDecision as DeadLetterDecisionSchema,
  type DeadLetterFilter,
  type DeadLetterState,
  type DeadOutcome,
  deadLetterSubject,
  digestOf,
  type EncodedBody,
  type Envelope,
  EVENTS,
  OUTCOMES,
  outcomeFilter,
  outcomeSubject,
  outcomesOf,
  REQUEST_HEADERS,
  type RequestAddress,
} from "@millrace/contracts";
import { Compile } from "typebox/compile";
import type { Bus } from "./bus.ts";
import { type ReadFrom, readLastOfEach, readNext } from "./direct-batch.ts";
import { outcomeIn } from "./outcomes.ts";
import { addressOf } from "./outgoing.ts";
import { readAt, readLastFromLeader, type StoredMessage } from "./read.ts";
import { attemptOf } from "./requests.ts";
import { readLastOutcome, readLastRequest } from "./settled-outcome.ts";

/** A dead letter that is its id's last outcome, and what was decided about it. */
export type StoredDeadLetter = {
  address: RequestAddress;
  /** Position in OUTCOMES. */
  sequence: number;
  record: DeadOutcome;
  envelope: Envelope;
  /** Absent while it is open. */
  decision?: DeadLetterDecision;
};

const stateOfDeadLetter = ({ decision }: Pick<StoredDeadLetter, "decision">): DeadLetterState =>
  decision?.decision ?? "open";

/** The dead letter of an id, as the leaders of its streams know it; undefined when its last outcome is none. */
export async function readDeadLetter(bus: Bus, of: RequestAddress): Promise<StoredDeadLetter | undefined> {
  const outcome = await readLastOutcome(bus, of);
  if (outcome?.record.state !== "dead") return undefined;
  const { sequence, record, envelope } = outcome;
  const decision = await readDecision(bus, of, record.attempt);
  return { address: addressOf(of), sequence, record, envelope, ...(decision ? { decision } : {}) };
}

/**
 * The dead letter of an id at a position, whether other outcomes followed it or not; undefined when none is there.
 * So the same order about it can be given again after its redrive has ended.
 */
export async function readDeadLetterAt(
  bus: Bus,
  of: RequestAddress,
  sequence: number,
): Promise<StoredDeadLetter | undefined> {
  const message = await readAt(bus, OUTCOMES.name, sequence);
  const [deadLetter] = message?.subject === outcomeSubject({ ...of, state: "dead" }) ? deadLetterIn(message) : [];
  const decision = deadLetter && (await readDecision(bus, of, deadLetter.record.attempt));
  return deadLetter && { ...deadLetter, ...(decision ? { decision } : {}) };
}

/** What was decided about one attempt's dead letter. */
export async function readDecision(
  bus: Bus,
  of: RequestAddress,
  attempt: number,
): Promise<DeadLetterDecision | undefined> {
  const stored = await readLastFromLeader(bus, EVENTS.name, deadLetterSubject(of, attempt));
  return stored && decisionIn(stored);
}

/** What a dead letter died of, and where the id's next request would stand. */
export type RedriveBasis = {
  /** What died, byte for byte; undefined when it is not retained any more. */
  payload: EncodedBody | undefined;
  /** Position of the id's last request; 0 when none is retained. */
  after_sequence: number;
  /** Digest under which the id was first accepted, whatever was redriven since. */
  original_digest: string;
};

/** Follows the claim check of a dead letter. */
export async function readRedriveBasis(bus: Bus, { address, record }: StoredDeadLetter): Promise<RedriveBasis> {
  const last = await readLastRequest(bus, address);
  const { stream, sequence, digest } = record.request;
  // Nearly always one message; a message published by hand may stand behind the one that died.
  const died = last?.sequence === sequence ? last : await readAt(bus, stream, sequence);
  return {
    payload: payloadIn(died, digest),
    after_sequence: last?.sequence ?? 0,
    original_digest: last?.header(REQUEST_HEADERS.originalDigest) ?? last?.header(REQUEST_HEADERS.digest) ?? digest,
  };
}

/** What died, byte for byte; undefined when it is not retained any more. */
export async function readDeadLetterPayload(
  bus: Bus,
  { request }: Pick<DeadOutcome, "request">,
): Promise<EncodedBody | undefined> {
  return payloadIn(await readAt(bus, request.stream, request.sequence), request.digest);
}

/** A stream made anew may hold another message at the position: the digest tells. */
function payloadIn(message: StoredMessage | undefined, digest: string): EncodedBody | undefined {
  if (!message || digestOf(message.body) !== digest) return undefined;
  const { body, headerLength } = message;
  return headerLength === undefined ? { bytes: body } : { bytes: body, headerLength };
}

export type DeadLetterQuery = DeadLetterFilter & { tenant: string; project: string };

/** Which of those that match: `redrivable` = open, or redriven and interrupted before the new request was stored. */
export type DeadLetterSelection = DeadLetterState | "all" | "redrivable";

/** Dead letters looked at for one page: bounds how long a page takes that finds few. */
const EXAMINED_MAX = 10_000;
const BATCH_MIN = 50;
const BATCH_MAX = 500;
/** `from` and `to` are the worker's clock, the stream's index the server's: they may differ by this much. */
const CLOCKS_MS = 60_000;

/**
 * A page of a project's dead letters in the order in which they died. May hold fewer than `limit`, or none, and still
 * have a `next`: a page ends after {@link EXAMINED_MAX} messages.
 * @throws NatsError when no server answers in time
 */
export async function listDeadLetters(
  bus: Bus,
  query: DeadLetterQuery,
  options: { select: DeadLetterSelection; after: number; limit: number },
): Promise<{ found: StoredDeadLetter[]; next?: number }> {
  const { select, after, limit } = options;
  const { tenant, project, model } = query;
  const filter = outcomesOf({ tenant, project, ...(model === undefined ? {} : { model }), state: "dead" });
  const matches = matcher(query);
  const batch = Math.min(BATCH_MAX, Math.max(BATCH_MIN, limit * 2));
  const found: StoredDeadLetter[] = [];
  let from: ReadFrom =
    after === 0 && query.from !== undefined ? { since: new Date(Date.parse(query.from) - CLOCKS_MS) } : { after };

  for (let examined = 0; examined < EXAMINED_MAX; ) {
    const { messages, pending } = await readNext(bus, OUTCOMES.name, { filter, from, batch });
    const last = messages.at(-1);
    if (!last) return { found };
    const selected = await selectFrom(bus, messages.flatMap(deadLetterIn).filter(matches), select);
    const room = limit - found.length;
    found.push(...selected.slice(0, room));
    if (selected.length > room) return { found, next: found.at(-1)!.sequence };
    if (pending === 0 || isPast(last, query.to)) return { found };
    if (found.length === limit) return { found, next: last.sequence };
    examined += messages.length;
    from = { after: last.sequence };
  }
  return { found, ...("after" in from ? { next: from.after } : {}) };
}

function matcher({ code, from, to }: DeadLetterFilter) {
  const begin = from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(from);
  const end = to === undefined ? Number.POSITIVE_INFINITY : Date.parse(to);
  return ({ record }: StoredDeadLetter) => {
    if (code !== undefined && record.reason.code !== code) return false;
    const died = Date.parse(record.completed_at);
    return died >= begin && died < end;
  };
}

const isPast = ({ stored_at }: StoredMessage, to: string | undefined) =>
  to !== undefined && stored_at.getTime() > Date.parse(to) + CLOCKS_MS;

/** Adds the decisions, and leaves out what was not asked for and what is not its id's last outcome. */
async function selectFrom(
  bus: Bus,
  candidates: readonly StoredDeadLetter[],
  select: DeadLetterSelection,
): Promise<StoredDeadLetter[]> {
  if (candidates.length === 0) return [];
  const slot = ({ address, record }: StoredDeadLetter) => deadLetterSubject(address, record.attempt);
  const decisions = await readLastOfEach(bus, EVENTS.name, candidates.map(slot));
  const decided = candidates.flatMap((deadLetter) => {
    const stored = decisions.get(slot(deadLetter));
    const decision = stored && decisionIn(stored);
    const known = decision ? { ...deadLetter, decision } : deadLetter;
    return isAsked(stateOfDeadLetter(known), select) ? [known] : [];
  });
  // Another outcome follows only from a redrive: what is open or discarded is the last one.
  const redriven = decided.filter(({ decision }) => decision?.decision === "redriven");
  if (redriven.length === 0) return decided;
  const ended = await endedSince(bus, redriven);
  const unfinished =
    select === "redrivable"
      ? await withoutRequest(
          bus,
          redriven.filter((it) => !ended.has(it)),
        )
      : [];
  const isLeftOut = (it: StoredDeadLetter) =>
    it.decision?.decision === "redriven" && (ended.has(it) || (select === "redrivable" && !unfinished.includes(it)));
  return decided.filter((it) => !isLeftOut(it));
}

const isAsked = (state: DeadLetterState, select: DeadLetterSelection): boolean =>
  select === "all" || select === state || (select === "redrivable" && state !== "discarded");

/** Those whose next attempt has its outcome. */
async function endedSince(bus: Bus, redriven: readonly StoredDeadLetter[]): Promise<Set<StoredDeadLetter>> {
  const outcomes = await readLastOfEach(
    bus,
    OUTCOMES.name,
    redriven.map(({ address }) => outcomeFilter(address)),
  );
  const last = new Map<string, number>();
  for (const { subject, sequence } of outcomes.values()) {
    const id = subject.slice(0, subject.lastIndexOf("."));
    last.set(id, Math.max(last.get(id) ?? 0, sequence));
  }
  return new Set(
    redriven.filter(({ address, sequence }) => (last.get(outcomeFilter(address).slice(0, -2)) ?? 0) > sequence),
  );
}

/** Those whose next request is not stored. They are few: somebody is at it, or was interrupted. */
async function withoutRequest(bus: Bus, redriven: readonly StoredDeadLetter[]): Promise<StoredDeadLetter[]> {
  const missing: StoredDeadLetter[] = [];
  for (const deadLetter of redriven) {
    const request = await readLastRequest(bus, deadLetter.address);
    if (!request || attemptOf(request) <= deadLetter.record.attempt) missing.push(deadLetter);
  }
  return missing;
}

function deadLetterIn(message: StoredMessage): StoredDeadLetter[] {
  const outcome = outcomeIn(message);
  if (!outcome.ok || outcome.value.record.state !== "dead") return [];
  const { address, sequence, record, envelope } = outcome.value;
  return [{ address: addressOf(address), sequence, record, envelope }];
}

const decisionSchema = Compile(DeadLetterDecisionSchema);

/** @throws when the event is not a decision: only this code writes them, so the stream's bytes are broken. */
export function decisionIn({ subject, body }: StoredMessage): DeadLetterDecision {
  const decision: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
  if (decisionSchema.Check(decision)) return decision as DeadLetterDecision;
  throw new Error(`${subject} is not a decision: ${decisionSchema.Errors(decision)[0]?.message}`);
}
