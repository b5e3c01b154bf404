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
import { outcomeAttempt } from "../domain/identity.ts";
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
  for (const { name } of Object.values(REQUEST_STREAM)) await sweepRequests(options, name);
  await sweepDecisions(options);
}

async function sweepRequests(options: SweepOptions, stream: string): Promise<void> {
  const { bus, signal } = options;
  const mark = await openMark(bus, stream);
  // Who sees headers only looks and passes on; who gets the bodies answers.
  const workers = (await listConsumers(bus, stream)).filter(({ headers_only }) => !headers_only);
  for (const worker of workers) {
    if (signal.aborted) break;
    const from = Math.max((mark.through[worker.name] ?? 0) + 1, mark.state.first_sequence);
    const through = worker.acknowledged_sequence;
    if (from > through) continue;
    if (await sweepConsumer(options, worker, { from, through })) mark.through[worker.name] = through;
  }
  const names = new Set(workers.map(({ name }) => name));
  for (const name of Object.keys(mark.through)) if (!names.has(name)) delete mark.through[name];
  await mark.write();
}

/** Answers whether everything in the range was looked at. */
async function sweepConsumer(
  options: SweepOptions,
  { stream, filters }: ConsumerState,
  range: { from: number; through: number },
): Promise<boolean> {
  const { bus, metrics, signal } = options;
  for (const filter of filters.length > 0 ? filters : [undefined])
    for await (const batch of scan(bus, { stream, ...range, ...(filter === undefined ? {} : { filter }) })) {
      if (signal.aborted) return false;
      const keys = batch.map((message) => keyOf(stream, message));
      const outcomes = await lastOutcomes(bus, keys);
      for (const [index, message] of batch.entries()) {
        const key = keys[index]!;
        if (message.header(REQUEST_HEADERS.requeuedFrom)) await announce(options, stream, message);
        if ((outcomes.get(key)?.attempt ?? 0) < attemptOf(message)) await reconcile(options, stream, key, message);
      }
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
const announce = (options: SweepOptions, _stream: string, message: Scanned): Promise<void> =>
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
