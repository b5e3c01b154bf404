import {
  attemptOf,
  type Bus,
  listConsumers,
  readAt,
  readLastFromLeader,
  readLastOfEach,
  type StoredMessage,
} from "@millrace/bus";
import {
  deadLetterSubject,
  decodeOutcome,
  EVENTS,
  type Finding,
  OUTCOMES,
  parseOutcomeSubject,
  parseRequestSubject,
  REQUEST_STREAM,
  requestsOf,
} from "@millrace/contracts";
import type { Suspect, Suspects } from "../domain/books.ts";
import { isGiven } from "../domain/floors.ts";
import { outcomeAttempt, outcomeKey } from "../domain/identity.ts";
import { keyOf } from "./look-up.ts";

/** What is wrong indeed. `more` were not looked at one by one, because there are too many. */
export type Confirmed = { findings: Finding[]; lost: number; more: number };

type IsRetired = (request: { stream: string; sequence: number }) => boolean;
/** Answers what is wrong, or undefined when it is right by now, or always was. */
type Confirm<Kind extends keyof Suspect> = (suspect: Suspect[Kind]) => Promise<Finding | undefined>;

const CONCURRENCY = 16;
/** A redrive between its two steps. */
const REDRIVE_MS = 10_000;

/**
 * Looks at each suspect by itself, as the streams' leaders know it now: what was stored, redriven, put back or removed
 * by retention since it was read is no finding.
 */
export async function confirmSuspects(bus: Bus, suspects: Suspects, isRetired: IsRetired): Promise<Confirmed> {
  const findings: Finding[] = [];
  const confirm = async <Kind extends keyof Suspect>(kind: Kind, look: Confirm<Kind>) => {
    const { first, total } = suspects.of(kind);
    const found: Finding[] = [];
    for (let at = 0; at < first.length; at += CONCURRENCY)
      for (const finding of await Promise.all(first.slice(at, at + CONCURRENCY).map(look)))
        if (finding) found.push(finding);
    findings.push(...found);
    return { confirmed: found.length, more: total - first.length };
  };
  const lost = await confirm("lost-request", lostRequest(bus));
  const unanswering = await confirm("outcome-without-request", outcomeWithoutRequest(bus, isRetired));
  const groundless = await confirm("effect-without-outcome", effectWithoutOutcome(bus));
  const untold = await confirm("outcome-without-effect", outcomeWithoutEffect(bus));
  const unfinished = await confirm("unfinished-redrive", unfinishedRedrive(bus));
  // Of outcomes without request there are many in a stream from before they said where their request was.
  const uncertain = unanswering.confirmed === 0 ? 0 : unanswering.more;
  return {
    findings,
    lost: lost.confirmed + lost.more,
    more: lost.more + uncertain + groundless.more + untold.more + unfinished.more,
  };
}

const lostRequest =
  (bus: Bus): Confirm<"lost-request"> =>
  async ({ stream, sequence, why }) => {
    const request = await readAt(bus, stream, sequence);
    if (!request) return undefined;
    const key = keyOf(stream, request);
    const outcome = await readLastFromLeader(bus, OUTCOMES.name, `out.${key}.*`);
    if (outcome && attemptIn(outcome) >= attemptOf(request)) return undefined;
    const of = parseRequestSubject(request.subject);
    const { tenant, project, model, id } = of ?? {};
    const filter = of
      ? requestsOf({ kind: of.kind, tenant: tenant!, project: project!, model: model!, id: id! })
      : request.subject;
    const last = await readLastFromLeader(bus, stream, filter);
    if (last && last.sequence > sequence) return undefined;
    if (why === "no-worker" && (await hasWorker(bus, stream, request.subject))) return undefined;
    const detail =
      why === "acknowledged"
        ? `${request.subject} at ${stream} ${sequence} was acknowledged and has no outcome; the sweeper puts it back`
        : `${request.subject} at ${stream} ${sequence} is in no lane: no worker will get it`;
    return { kind: "lost-request", name: of?.id ?? key, detail };
  };

const hasWorker = async (bus: Bus, stream: string, subject: string): Promise<boolean> =>
  (await listConsumers(bus, stream)).some((consumer) => !consumer.headers_only && isGiven(consumer, subject));

const outcomeWithoutRequest =
  (bus: Bus, isRetired: IsRetired): Confirm<"outcome-without-request"> =>
  async ({ sequence, request }) => {
    if (request && isRetired(request)) return undefined;
    const outcome = await readAt(bus, OUTCOMES.name, sequence);
    if (!outcome) return undefined;
    const { body, headerLength } = outcome;
    const record = decodeOutcome(headerLength === undefined ? { bytes: body } : { bytes: body, headerLength });
    const named = `${outcome.subject} at ${OUTCOMES.name} ${sequence}`;
    if (!record.ok)
      return { kind: "outcome-without-request", name: named, detail: `it is not an outcome: ${record.problem.detail}` };
    const asked = record.value.request;
    if (isRetired(asked) || (await readAt(bus, asked.stream, asked.sequence))) return undefined;
    const detail = `${named} answers ${asked.stream} ${asked.sequence}, which is empty, and retention has not come so far`;
    return { kind: "outcome-without-request", name: record.value.id, detail };
  };

const effectWithoutOutcome =
  (bus: Bus): Confirm<"effect-without-outcome"> =>
  async ({ sequence }) => {
    const event = await readAt(bus, EVENTS.name, sequence);
    if (!event) return undefined;
    const [, tenant, project, , destination, id, attempt] = event.subject.split(".");
    const outcomes = await readLastOfEach(bus, OUTCOMES.name, [`out.${tenant}.${project}.*.${id}.*`]);
    if ([...outcomes.values()].some((outcome) => attemptIn(outcome) >= Number(attempt))) return undefined;
    const detail = `a delivery to ${destination} is recorded at ${EVENTS.name} ${sequence}, and ${id}.${attempt} has no outcome`;
    return { kind: "effect-without-outcome", name: `${id}.${attempt}:${destination}`, detail };
  };

const outcomeWithoutEffect =
  (bus: Bus): Confirm<"outcome-without-effect"> =>
  async ({ sequence, consumer }) => {
    const outcome = await readAt(bus, OUTCOMES.name, sequence);
    if (!outcome) return undefined;
    const { tenant, project, id } = parseOutcomeSubject(outcome.subject)!;
    const destination = consumer.slice(consumer.indexOf("-") + 1);
    const attempt = attemptIn(outcome);
    const subject = `evt.${tenant}.${project}.delivery.${destination}.${id}.${attempt}`;
    if (await readLastFromLeader(bus, EVENTS.name, subject)) return undefined;
    const detail = `${consumer} acknowledged ${OUTCOMES.name} ${sequence} and recorded no delivery of it`;
    return { kind: "outcome-without-effect", name: `${id}.${attempt}:${destination}`, detail };
  };

const unfinishedRedrive =
  (bus: Bus): Confirm<"unfinished-redrive"> =>
  async ({ sequence }) => {
    const deadLetter = await readAt(bus, OUTCOMES.name, sequence);
    const of = deadLetter && parseOutcomeSubject(deadLetter.subject);
    if (!deadLetter || !of) return undefined;
    const attempt = attemptIn(deadLetter);
    const decision = await readLastFromLeader(bus, EVENTS.name, deadLetterSubject(of, attempt));
    if (!decision || Date.now() - decision.stored_at.getTime() < REDRIVE_MS) return undefined;
    const last = await readLastFromLeader(bus, OUTCOMES.name, `out.${outcomeKey(deadLetter.subject)}.*`);
    if (last && attemptIn(last) > attempt) return undefined;
    const requests = await requestsOfAnyKind(bus, outcomeKey(deadLetter.subject)!);
    if (requests.some((request) => attemptOf(request) > attempt)) return undefined;
    const detail = `it was decided at ${EVENTS.name} ${decision.sequence} that attempt ${attempt} runs again, and its request is not there; the sweeper completes it`;
    return { kind: "unfinished-redrive", name: `${of.id}.${attempt}`, detail };
  };

async function requestsOfAnyKind(bus: Bus, key: string): Promise<StoredMessage[]> {
  const found: StoredMessage[] = [];
  for (const [kind, { name }] of Object.entries(REQUEST_STREAM)) {
    const last = await readLastFromLeader(bus, name, `req.${kind}.*.${key}`);
    if (last) found.push(last);
  }
  return found;
}

const attemptIn = ({ header }: Pick<StoredMessage, "header">): number => outcomeAttempt(header("ce-id"));
