import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  attemptOf,
  type Bus,
  type ConsumerState,
  connectedClients,
  listConsumers,
  readRecord,
  readStreamState,
  type StreamState,
  scan,
} from "@millrace/bus";
import {
  type CheckReport,
  EVENTS,
  type Finding,
  OUTCOME_HEADERS,
  OUTCOMES,
  REQUEST_STREAM,
  REQUESTS_CHAT,
  REQUESTS_TENSOR,
  RetentionMark,
  retentionKey,
  STREAMS,
} from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import { Books, type BooksTotals } from "../domain/books.ts";
import { outcomeAttempt } from "../domain/identity.ts";
import { countOf, gaps, type Run, Runs, written } from "../domain/runs.ts";
import { serviceOf, standing } from "../domain/standing.ts";
import type { KeeperMetrics } from "../metrics.ts";
import { ledgerFindings } from "./check-ledger.ts";
import { confirmSuspects } from "./confirm.ts";
import { decisionOf, keyOf } from "./look-up.ts";

export type CheckOptions = {
  bus: Bus;
  system: Bus;
  metrics: Pick<KeeperMetrics, "checked">;
  log: Logger;
  signal: AbortSignal;
  /** A consumer with work that has not moved for so long stands still. */
  standing_ms: number;
};

/** A request that no worker's consumer is given may be of a lane that is made this moment. */
const NO_WORKER_MS = 120_000;
const FINDINGS_MAX = 1_000;

/** Answers with the books. Of several who ask meanwhile, all get the same. */
export function checker(options: CheckOptions): () => Promise<CheckReport> {
  let running: Promise<CheckReport> | undefined;
  return () => {
    running ??= check(options).finally(() => {
      running = undefined;
    });
    return running;
  };
}

/**
 * Reads everything once and judges it. Work goes on meanwhile: what is compared is noted in an order in which the one
 * implies the other (see {@link Books}), and whatever seems wrong is looked at again by itself before it is said.
 */
async function check(options: CheckOptions): Promise<CheckReport> {
  const { bus, log, metrics } = options;
  const started = performance.now();
  const consumers = await allConsumers(bus);
  const states = await cut(bus);
  const marks = await readMarks(bus, states);
  const totals = await read(bus, { consumers, states, marks });
  const marksAfter = await readMarks(bus, states);
  const confirmed = await confirmSuspects(bus, totals.suspects, (request) => isRetired(marksAfter, request));
  const streams = states.map((state) => streamOf(state, totals.present.get(state.name), marksAfter.get(state.name)));
  const still = await standingConsumers(options, consumers, started);
  const lost = confirmed.lost;
  const findings: Finding[] = [
    ...confirmed.findings,
    ...streams.flatMap(({ findings: found }) => found),
    ...(await ledgerFindings(bus, states, totals.present)),
    ...still.findings,
  ];
  const total = findings.length + confirmed.more;
  const report: CheckReport = {
    balanced: total === 0,
    at: new Date().toISOString(),
    duration_ms: Math.round(performance.now() - started),
    ids: { ...totals.ids, pending: totals.ids.pending - lost, lost },
    dead_letters: totals.dead_letters,
    streams: streams.map(({ line }) => line),
    consumers: still.consumers,
    effects: effectsOf(totals),
    findings: findings.slice(0, FINDINGS_MAX),
    findings_total: total,
  };
  metrics.checked(report);
  const { balanced, duration_ms, ids, findings_total } = report;
  log[balanced ? "info" : "error"]({ balanced, duration_ms, ids, findings_total, first: findings[0] }, "checked");
  return report;
}

async function allConsumers(bus: Bus): Promise<ConsumerState[]> {
  return (await Promise.all(STREAMS.map(({ name }) => listConsumers(bus, name)))).flat();
}

/** Up to where each stream is read, noted in this order: what follows from something is noted before it. */
async function cut(bus: Bus): Promise<StreamState[]> {
  const states: StreamState[] = [];
  for (const { name } of [EVENTS, OUTCOMES, REQUESTS_TENSOR, REQUESTS_CHAT])
    states.push(await readStreamState(bus, name));
  return states;
}

type Marks = ReadonlyMap<string, RetentionMark>;

async function readMarks(bus: Bus, states: readonly StreamState[]): Promise<Marks> {
  const marks = new Map<string, RetentionMark>();
  for (const { name, created } of states) {
    const { value } = await readRecord(bus, "marks", retentionKey(name), RetentionMark);
    if (value?.created === created) marks.set(name, value);
  }
  return marks;
}

const isRetired = (marks: Marks, { stream, sequence }: { stream: string; sequence: number }): boolean =>
  sequence <= (marks.get(stream)?.through ?? 0);

type Known = { consumers: readonly ConsumerState[]; states: readonly StreamState[]; marks: Marks };

async function read(bus: Bus, { consumers, states, marks }: Known): Promise<BooksTotals & Pick<Books, "suspects">> {
  const requestStreams: string[] = Object.values(REQUEST_STREAM).map(({ name }) => name);
  const isRequests = ({ stream }: ConsumerState) => requestStreams.includes(stream);
  const lookers = consumers.filter((consumer) => isRequests(consumer) && consumer.headers_only);
  const books = new Books({
    consumers: {
      work: consumers.filter((consumer) => isRequests(consumer) && !consumer.headers_only),
      outcomes: consumers.filter(({ stream, name }) => stream === OUTCOMES.name && serviceOf(name) !== "audit"),
    },
    isRetired: (request) => isRetired(marks, request),
    seed: randomInt(2 ** 32),
  });
  const through = new Map(states.map(({ name, last_sequence }) => [name, last_sequence]));
  const all = (stream: string) => scan(bus, { stream, through: through.get(stream)! });

  for await (const batch of all(EVENTS.name))
    for (const { subject, sequence, header } of batch)
      books.event({ subject, sequence, decision: isDecision(subject) ? decisionOf(header("ce-type")) : undefined });

  const young_ms = Date.now() - NO_WORKER_MS;
  for (const stream of requestStreams) {
    // Whoever only looks still has to judge what it has not seen.
    const looked = Math.min(
      ...lookers.filter((looker) => looker.stream === stream).map((looker) => looker.acknowledged_sequence),
    );
    for await (const batch of all(stream))
      for (const message of batch) {
        const { subject, sequence, stored_ms } = message;
        const old = stored_ms < young_ms && sequence <= looked;
        books.request({ stream, key: keyOf(stream, message), subject, sequence, attempt: attemptOf(message), old });
      }
  }

  const events_ms = Date.parse(marks.get(EVENTS.name)?.stored_until ?? "") || 0;
  for await (const batch of all(OUTCOMES.name))
    for (const { subject, sequence, stored_ms, header } of batch)
      books.outcome({
        subject,
        sequence,
        stored_ms,
        attempt: outcomeAttempt(header("ce-id")),
        request: placeOf(header(OUTCOME_HEADERS.request)),
        old: stored_ms <= events_ms,
      });
  return { ...books.close(), suspects: books.suspects };
}

const isDecision = (subject: string): boolean => subject.split(".", 4)[3] === "dead-letter";

/** `<stream>:<sequence>` */
function placeOf(header: string | undefined): { stream: string; sequence: number } | undefined {
  const [stream, sequence] = header?.split(":") ?? [];
  return stream && Number(sequence) > 0 ? { stream, sequence: Number(sequence) } : undefined;
}

type StreamLine = { line: CheckReport["streams"][number]; findings: Finding[] };

/** Empty positions of a stream, and which of them retention explains. */
function streamOf(state: StreamState, present = new Runs(), mark: RetentionMark | undefined): StreamLine {
  const { name, first_sequence, last_sequence } = state;
  const { through = 0, retired = 0 } = mark ?? {};
  const empty = gaps(present.list, last_sequence);
  const ahead = empty.flatMap(([first, last]): Run[] => (last > through ? [[Math.max(first, through + 1), last]] : []));
  const behind = countOf(empty) - countOf(ahead);
  const excess = Math.max(0, behind - retired);
  const findings = ahead.map(
    (run): Finding => ({
      kind: "gap",
      name: `${name} ${written(run)}`,
      detail: "the position is empty, and retention has not come so far: somebody removed what was there",
    }),
  );
  if (excess > 0)
    findings.push({
      kind: "gap",
      name: `${name} 1–${through}`,
      detail: `${behind} positions are empty, and retention removed ${retired}: somebody removed the others`,
    });
  const gapsTotal = countOf(ahead) + excess;
  return { line: { name, messages: present.count, first_sequence, last_sequence, retired, gaps: gapsTotal }, findings };
}

/** Looks at the consumers again; at those that seem to stand still for as long as it takes to be sure. */
async function standingConsumers(
  { bus, system, standing_ms, signal }: CheckOptions,
  before: readonly ConsumerState[],
  started: number,
): Promise<{ consumers: CheckReport["consumers"]; findings: Finding[] }> {
  let now = await allConsumers(bus);
  let still = standing(before, now);
  while (still.length > 0 && performance.now() - started < standing_ms && !signal.aborted) {
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    now = await allConsumers(bus);
    still = standing(before, now);
  }
  const connected = still.length > 0 ? await connectedClients(system) : new Set<string>();
  const findings = still.map((consumer): Finding => {
    const { stream, name, pending, ack_pending } = consumer;
    const service = serviceOf(name);
    const whose = connected.has(service) ? `though ${service} is connected` : `and ${service} is not connected`;
    const detail = `${pending} wait and ${ack_pending} are not acknowledged; it has not moved, ${whose}`;
    return { kind: "standing-consumer", name: `${stream} ${name}`, detail };
  });
  const consumers = now.map((consumer) => {
    const { stream, name, pending, ack_pending, redelivered, acknowledged_sequence } = consumer;
    const stands = still.includes(consumer);
    return { stream, name, pending, ack_pending, redelivered, acknowledged_sequence, standing: stands };
  });
  return { consumers, findings };
}

const LOOK_MS = 500;

const effectsOf = ({ effects }: BooksTotals): CheckReport["effects"] =>
  Array.from(effects, ([consumer, { outcomes, recorded }]) => ({
    consumer,
    outcomes,
    ...(serviceOf(consumer) === "notifier" ? { recorded } : {}),
  }));
