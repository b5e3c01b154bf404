import { randomInt } from "node:crypto";
import {
  attemptOf,
  type Bus,
  type ConsumerState,
  completeRedrive,
  listConsumers,
  readAt,
  readLastFromLeader,
  readRecord,
  readStreamState,
  replaceRecord,
  requeueRequest,
  type Scanned,
  type StreamState,
  scan,
} from "@millrace/bus";
import {
  DeadLetterDecision,
  DeadLetterRedriven,
  EVENTS,
  OUTCOMES,
  parseRequestSubject,
  REQUEST_HEADERS,
  REQUEST_STREAM,
  SweepMark,
  sweepKey,
} from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import { Value } from "typebox/value";
import { CompactMap } from "../domain/compact-map.ts";
import { outcomeAttempt, outcomeKey } from "../domain/identity.ts";
import type { KeeperMetrics } from "../metrics.ts";
import { keyOf, lastOutcomes } from "./look-up.ts";
import { requeuedEvent } from "./requeued-event.ts";

export type SweepOptions = {
  bus: Bus;
  metrics: Pick<KeeperMetrics, "swept" | "requeued" | "redriveCompleted">;
  log: Logger;
  signal: AbortSignal;
  /** Until then, somebody is at it: a redrive that nobody has completed for so long was interrupted. */
  redrive_after_ms: number;
};

/**
 * Reconciles: every request that a worker's consumer has acknowledged has an outcome, and every decision to redrive has
 * its request. What has none is stored again as a request, so that a worker answers it. Goes on where the last pass
 * ended, by consumer, and begins again from nothing without harm.
 */
export async function sweep(options: SweepOptions): Promise<void> {
  const streams = await Promise.all(Object.values(REQUEST_STREAM).map(({ name }) => rangesOf(options.bus, name)));
  if (streams.some(({ ranges }) => ranges.length > 0)) {
    const answered = await readAnswered(options);
    for (const { mark, ranges } of streams) {
      for (const range of ranges)
        if (await sweepRange(options, range, answered)) mark.through[range.worker.name] = range.through;
      await mark.write();
    }
    // Last: what was answered before is looked up one by one when a request was not reconciled with it.
    if (!options.signal.aborted) await answered.write();
  }
  await sweepDecisions(options);
}

/** What a worker's consumer has acknowledged since the last pass. */
type AcknowledgedRange = { worker: ConsumerState; from: number; through: number };

async function rangesOf(bus: Bus, stream: string): Promise<{ mark: OpenMark; ranges: AcknowledgedRange[] }> {
  const mark = await openMark(bus, stream);
  // Who sees headers only looks and passes on; who gets the bodies answers.
  const workers = (await listConsumers(bus, stream)).filter(({ headers_only }) => !headers_only);
  const names = new Set(workers.map(({ name }) => name));
  for (const name of Object.keys(mark.through)) if (!names.has(name)) delete mark.through[name];
  const ranges = workers.map((worker) => ({
    worker,
    from: Math.max((mark.through[worker.name] ?? 0) + 1, mark.state.first_sequence),
    through: worker.acknowledged_sequence,
  }));
  return { mark, ranges: ranges.filter(({ from, through }) => from <= through) };
}

type Answered = { attemptOf(key: string): number; write(): Promise<void> };

/**
 * The outcomes that were stored since the last pass: those of what was acknowledged since then, but for a few. They
 * are read in a row: asking for each took a minute and more for 200,000, where reading takes seconds.
 */
async function readAnswered({ bus, signal }: SweepOptions): Promise<Answered> {
  const mark = await openMark(bus, OUTCOMES.name);
  const { first_sequence, last_sequence } = mark.state;
  const attempts = new CompactMap(["u32"], randomInt(2 ** 32));
  const from = Math.max((mark.through[ANSWERED] ?? 0) + 1, first_sequence);
  for await (const batch of scan(bus, { stream: OUTCOMES.name, from, through: last_sequence })) {
    if (signal.aborted) break;
    for (const { subject, header } of batch) {
      const key = outcomeKey(subject);
      if (key !== undefined) attempts.set(attempts.add(key), 0, outcomeAttempt(header("ce-id")));
    }
  }
  mark.through[ANSWERED] = last_sequence;
  return {
    attemptOf(key) {
      const entry = attempts.find(key);
      return entry === undefined ? 0 : attempts.get(entry, 0);
    },
    write: mark.write,
  };
}

const ANSWERED = "answered";

/** Answers whether everything in the range was looked at. */
async function sweepRange(options: SweepOptions, range: AcknowledgedRange, answered: Answered): Promise<boolean> {
  const { bus, metrics, signal } = options;
  const { from, through } = range;
  const { stream, filters } = range.worker;
  for (const filter of filters.length > 0 ? filters : [undefined])
    for await (const batch of scan(bus, { stream, from, through, ...(filter === undefined ? {} : { filter }) })) {
      if (signal.aborted) return false;
      for (const message of batch) if (message.header(REQUEST_HEADERS.requeuedFrom)) await announce(options, message);
      const open = batch
        .map((message) => ({ message, key: keyOf(stream, message) }))
        .filter(({ message, key }) => answered.attemptOf(key) < attemptOf(message));
      // Answered before the last pass, and acknowledged after it: few, and asked for together.
      const outcomes = await lastOutcomes(
        bus,
        open.map(({ key }) => key),
      );
      for (const { message, key } of open)
        if ((outcomes.get(key)?.attempt ?? 0) < attemptOf(message)) await reconcile(options, stream, key, message);
      metrics.swept(stream, batch.length);
    }
  return true;
}

/** A request that seems to have no outcome: the leaders are asked, and it goes into its queue again. */
async function reconcile(options: SweepOptions, stream: string, key: string, message: Scanned): Promise<void> {
  const { bus, metrics, log } = options;
  const outcome = await readLastFromLeader(bus, OUTCOMES.name, `out.${key}.*`);
  if (outcome && outcomeAttempt(outcome.header("ce-id")) >= attemptOf(message)) return;
  const requeued = await requeueRequest(bus, stream, message.sequence);
  const facts = { stream, subject: message.subject, sequence: message.sequence };
  if (requeued.kind === "given-up")
    log.error({ ...facts, ...requeued }, "a request is acknowledged again and again without an outcome; left alone");
  if (requeued.kind !== "requeued") return;
  metrics.requeued(stream);
  log.error(
    { ...facts, requeued_sequence: requeued.sequence, requeues: requeued.requeues },
    "a request was acknowledged and has no outcome; it is in its queue again",
  );
  await emit(options, message, { from: message.sequence, to: requeued.sequence });
}

/** A request that was put back says so itself: its event is written now if a crash came in between. */
const announce = (options: SweepOptions, message: Scanned): Promise<void> =>
  emit(options, message, { from: Number(message.header(REQUEST_HEADERS.requeuedFrom)), to: message.sequence });

async function emit({ bus }: SweepOptions, message: Scanned, moved: { from: number; to: number }): Promise<void> {
  const of = parseRequestSubject(message.subject);
  if (of) await bus.store(requeuedEvent(of, moved, message.header));
}

/** Decisions to redrive whose request is not stored. */
async function sweepDecisions(options: SweepOptions): Promise<void> {
  const { bus, metrics, log, signal } = options;
  const mark = await openMark(bus, EVENTS.name);
  const from = Math.max((mark.through[DECISIONS] ?? 0) + 1, mark.state.first_sequence);
  const range = { stream: EVENTS.name, from, through: mark.state.last_sequence, filter: "evt.*.*.dead-letter.>" };
  let through = mark.state.last_sequence;
  for await (const batch of scan(bus, range))
    for (const { sequence, stored_ms, header } of batch) {
      if (signal.aborted || Date.now() - stored_ms < options.redrive_after_ms) {
        through = Math.min(through, sequence - 1);
        continue;
      }
      if (header("ce-type") !== DeadLetterRedriven.type) continue;
      const stored = await readAt(bus, EVENTS.name, sequence);
      const decision: unknown = stored && JSON.parse(Buffer.from(stored.body).toString("utf8"));
      if (!Value.Check(DeadLetterDecision, decision) || decision.decision !== "redriven") continue;
      const completed = await completeRedrive(bus, decision);
      const { id, attempt } = decision;
      if (!completed.ok) log.error({ id, attempt, problem: completed.problem }, "a redrive cannot be completed");
      else if (!completed.value.repeated) {
        metrics.redriveCompleted();
        log.warn({ id, attempt, ...completed.value }, "a redrive was interrupted; it is completed");
      }
    }
  mark.through[DECISIONS] = Math.max(through, mark.through[DECISIONS] ?? 0);
  await mark.write();
}

const DECISIONS = "decisions";

type OpenMark = { state: StreamState; through: Record<string, number>; write(): Promise<void> };

/** How far the sweeper has come in a stream. */
async function openMark(bus: Bus, stream: string): Promise<OpenMark> {
  const state = await readStreamState(bus, stream);
  const { value, revision } = await readRecord(bus, "marks", sweepKey(stream), SweepMark);
  const through = value?.created === state.created ? { ...value.through } : {};
  const before = JSON.stringify(through);
  return {
    state,
    through,
    async write() {
      if (JSON.stringify(through) === before) return;
      // Another keeper may have come further; then its mark stands.
      await replaceRecord(bus, "marks", sweepKey(stream), { value: { created: state.created, through }, revision });
    },
  };
}
