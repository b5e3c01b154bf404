import { attemptOf, type Bus, readLastOfEach, type Scanned, salvageAddress } from "@millrace/bus";
import {
  DeadLetterDiscarded,
  DeadLetterRedriven,
  EVENTS,
  OUTCOMES,
  type OutcomeState,
  parseOutcomeSubject,
  REQUEST_STREAM,
} from "@millrace/contracts";
import { outcomeAttempt, outcomeKey, requestKey } from "../domain/identity.ts";

/** What the streams hold of many ids, in as few questions as possible. All of it may be a moment old. */

/** Address of a message of a request stream; one that is no request has its position for an id, as its dead letter. */
export function keyOf(stream: string, { subject, sequence }: Pick<Scanned, "subject" | "sequence">): string {
  const key = requestKey(subject);
  if (key !== undefined) return key;
  const { tenant, project, model, id } = salvageAddress({ stream, subject, sequence });
  return [tenant, project, model, id].join(".");
}

export type OutcomeFacts = { sequence: number; attempt: number; state: OutcomeState; stored_ms: number };

/** The last outcome of each of these ids; those without one are left out. */
export async function lastOutcomes(bus: Bus, keys: Iterable<string>): Promise<Map<string, OutcomeFacts>> {
  const found = await readLastOfEach(
    bus,
    OUTCOMES.name,
    Array.from(new Set(keys), (key) => `out.${key}.*`),
  );
  const last = new Map<string, OutcomeFacts>();
  for (const { subject, sequence, stored_at, header } of found.values()) {
    const key = outcomeKey(subject);
    if (key === undefined || (last.get(key)?.sequence ?? 0) > sequence) continue;
    const { state } = parseOutcomeSubject(subject)!;
    last.set(key, { sequence, attempt: outcomeAttempt(header("ce-id")), state, stored_ms: stored_at.getTime() });
  }
  return last;
}

/** Position and attempt of the last request of each of these ids; those that have none retained are left out. */
export async function lastRequests(
  bus: Bus,
  keys: Iterable<string>,
): Promise<Map<string, { sequence: number; attempt: number }>> {
  const wanted = [...new Set(keys)];
  const last = new Map<string, { sequence: number; attempt: number }>();
  for (const [kind, { name }] of Object.entries(REQUEST_STREAM)) {
    const found = await readLastOfEach(
      bus,
      name,
      wanted.map((key) => `req.${kind}.*.${key}`),
    );
    for (const message of found.values()) {
      const key = requestKey(message.subject);
      if (key === undefined || (last.get(key)?.sequence ?? 0) > message.sequence) continue;
      last.set(key, { sequence: message.sequence, attempt: attemptOf(message) });
    }
  }
  return last;
}

/** What was decided about an attempt's dead letter, by `<address>.<attempt>`. */
export async function decisions(
  bus: Bus,
  deadLetters: Iterable<{ key: string; attempt: number }>,
): Promise<Map<string, "redriven" | "discarded">> {
  const subjects = new Map<string, string>();
  for (const { key, attempt } of deadLetters) {
    const [tenant, project, model, id] = key.split(".");
    subjects.set(`evt.${tenant}.${project}.dead-letter.${model}.${id}.${attempt}`, `${key}.${attempt}`);
  }
  const decided = new Map<string, "redriven" | "discarded">();
  for (const [subject, { header }] of await readLastOfEach(bus, EVENTS.name, [...subjects.keys()])) {
    const decision = decisionOf(header("ce-type"));
    if (decision) decided.set(subjects.get(subject)!, decision);
  }
  return decided;
}

/** Which decision an event is, by its type. */
export const decisionOf = (type: string | undefined): "redriven" | "discarded" | undefined =>
  type === DeadLetterRedriven.type ? "redriven" : type === DeadLetterDiscarded.type ? "discarded" : undefined;

/** Which of these ids have a delivery event. */
export async function withDeliveries(bus: Bus, keys: Iterable<string>): Promise<Set<string>> {
  const byTail = new Map<string, string[]>();
  for (const key of new Set(keys)) {
    const [tenant, project, , id] = key.split(".");
    const tail = `${tenant}.${project}.${id}`;
    byTail.set(tail, [...(byTail.get(tail) ?? []), key]);
  }
  const filters = Array.from(byTail.keys(), (tail) => {
    const [tenant, project, id] = tail.split(".");
    return `evt.${tenant}.${project}.delivery.*.${id}.*`;
  });
  const found = new Set<string>();
  for (const subject of (await readLastOfEach(bus, EVENTS.name, filters)).keys()) {
    const [, tenant, project, , , id] = subject.split(".");
    for (const key of byTail.get(`${tenant}.${project}.${id}`) ?? []) found.add(key);
  }
  return found;
}
