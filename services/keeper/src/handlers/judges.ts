import { attemptOf, type Bus, readAt, readLastFromLeader } from "@millrace/bus";
import { EVENTS, OUTCOMES, REQUEST_STREAM } from "@millrace/contracts";
import { outcomeKey } from "../domain/identity.ts";
import { mayRetireEvent, mayRetireOutcome, mayRetireRequest, type RetentionTimes } from "../domain/retention.ts";
import { decisions, keyOf, lastOutcomes, lastRequests, withDeliveries } from "./look-up.ts";
import type { Judge } from "./retention.ts";

/** Joins what the streams hold to what retention may remove: one judge per stream. */
export function judgesOf(bus: Bus, times: RetentionTimes): { stream: string; retention_ms: number; judge: Judge }[] {
  return [
    // A delivery goes before its outcome, and a request too.
    { stream: EVENTS.name, retention_ms: times.events_ms, judge: judgeEvents(bus) },
    ...Object.values(REQUEST_STREAM).map(({ name }) => ({
      stream: name,
      retention_ms: times.requests_ms,
      judge: judgeRequests(bus, name, times),
    })),
    { stream: OUTCOMES.name, retention_ms: times.outcomes_ms, judge: judgeOutcomes(bus) },
  ];
}

const judgeRequests =
  (bus: Bus, stream: string, times: RetentionTimes): Judge =>
  async (messages) => {
    const requests = messages.map((message) => ({ key: keyOf(stream, message), attempt: attemptOf(message) }));
    const outcomes = await lastOutcomes(
      bus,
      requests.map(({ key }) => key),
    );
    const dead = [...outcomes].flatMap(([key, { state, attempt }]) => (state === "dead" ? [{ key, attempt }] : []));
    const decided = await decisions(bus, dead);
    const redriven = dead.filter(({ key, attempt }) => decided.get(`${key}.${attempt}`) === "redriven");
    const last = await lastRequests(
      bus,
      redriven.map(({ key }) => key),
    );
    return requests.map(({ key, attempt }) => {
      const outcome = outcomes.get(key);
      const facts = {
        attempt,
        lastAttempt: last.get(key)?.attempt ?? attempt,
        decision: outcome && decided.get(`${key}.${outcome.attempt}`),
        ...(outcome ? { outcome } : {}),
      };
      return mayRetireRequest(facts, Date.now(), times);
    });
  };

const judgeOutcomes =
  (bus: Bus): Judge =>
  async (messages) => {
    const keys = messages.map(({ subject }) => outcomeKey(subject));
    const known = keys.filter((key) => key !== undefined);
    const requests = await lastRequests(bus, known);
    const delivered = await withDeliveries(bus, known);
    return await Promise.all(
      messages.map(async ({ subject }, index) => {
        const key = keys[index];
        if (key === undefined) return mayRetireOutcome({ requestRetained: false, deliveryRetained: false });
        const requestRetained = requests.has(key) || (await hasRequest(bus, key, subject));
        return mayRetireOutcome({ requestRetained, deliveryRetained: delivered.has(key) });
      }),
    );
  };

/** What the look-up of many cannot say: a message that is no request, and a dead letter that is redriven this moment. */
async function hasRequest(bus: Bus, key: string, subject: string): Promise<boolean> {
  const salvaged = /\.([A-Z_]+)-(\d+)$/.exec(key);
  const streams = Object.entries(REQUEST_STREAM);
  if (salvaged && streams.some(([, { name }]) => name === salvaged[1]))
    return (await readAt(bus, salvaged[1]!, Number(salvaged[2]))) !== undefined;
  if (!subject.endsWith(".dead")) return false;
  for (const [kind, { name }] of streams) if (await readLastFromLeader(bus, name, `req.${kind}.*.${key}`)) return true;
  return false;
}

const judgeEvents =
  (bus: Bus): Judge =>
  async (messages) => {
    const about = messages.map(({ subject }) => {
      const [, tenant, project, kind, model, id] = subject.split(".");
      return kind === "dead-letter" ? [tenant, project, model, id].join(".") : undefined;
    });
    const outcomes = await lastOutcomes(
      bus,
      about.filter((key) => key !== undefined),
    );
    return about.map((key) =>
      mayRetireEvent({ isDecision: key !== undefined, outcomeRetained: key !== undefined && outcomes.has(key) }),
    );
  };
