import { setTimeout as sleep } from "node:timers/promises";
import {
  type Bus,
  deleteMessage,
  listConsumers,
  readRecord,
  readStreamState,
  replaceRecord,
  type Scanned,
  scan,
} from "@millrace/bus";
import { RetentionMark, retentionKey } from "@millrace/contracts";
import type { Logger } from "@millrace/kit";
import { acknowledgedBy } from "../domain/floors.ts";
import type { Pace } from "../domain/pace.ts";
import type { Kept, Verdict } from "../domain/retention.ts";
import { RetiredCount } from "../domain/retired-count.ts";
import type { KeeperMetrics } from "../metrics.ts";

/** Says of each message whether it may go; all of them are acknowledged, and their time is over. */
export type Judge = (messages: readonly Scanned[]) => Promise<readonly Verdict[]>;

export type RetentionOptions = {
  bus: Bus;
  stream: string;
  /** How long its messages stay. */
  retention_ms: number;
  judge: Judge;
  pace: Pace;
  metrics: Pick<KeeperMetrics, "retired" | "retentionLooked">;
  log: Logger;
  signal: AbortSignal;
};

/** Messages looked at before some of them go. After a crash, so many may be promised and still there. */
const ROUND = 1_000;

/**
 * One pass over what is older than its time, from the first message: removes what may go, one by one, at the pace, and
 * keeps the rest for the next pass. The mark is written before a round's messages go, by compare-and-set: of several
 * keepers one goes on, the others end their pass. It may be killed anywhere; the next pass sees what is there.
 */
export async function retain(options: RetentionOptions): Promise<void> {
  const { bus, stream, retention_ms, judge, metrics, log, signal } = options;
  const state = await readStreamState(bus, stream);
  const key = retentionKey(stream);
  let { value: mark, revision } = await readRecord(bus, "marks", key, RetentionMark);
  if (mark?.created !== state.created) mark = undefined;
  const count = new RetiredCount(mark);
  const acknowledged = acknowledgedBy(await listConsumers(bus, stream));
  const until_ms = Date.now() - retention_ms;
  const kept = new Map<Kept, number>();
  let behind_ms = 0;
  let removed = 0;

  for (let next = Math.max(1, state.first_sequence); next <= state.last_sequence && !signal.aborted; ) {
    const round = await take(bus, { stream, from: next, through: state.last_sequence });
    const due = beforeFirst(round, ({ stored_ms }) => stored_ms > until_ms);
    for (const { sequence } of due) count.see(sequence);
    const settled = due.filter(acknowledged);
    keep(kept, "unacknowledged", due.length - settled.length);
    const verdicts = settled.length > 0 ? await judge(settled) : [];
    const retired = settled.filter((_, index) => verdicts[index]!.retire);
    for (const verdict of verdicts) if (!verdict.retire) keep(kept, verdict.why, 1);
    if (retired.length > 0) {
      behind_ms = Math.max(behind_ms, until_ms - retired[0]!.stored_ms);
      const newest_ms = Math.max(retired.at(-1)!.stored_ms, mark ? Date.parse(mark.stored_until) : 0);
      mark = {
        ...count.plan(retired.map(({ sequence }) => sequence)),
        created: state.created,
        stored_until: new Date(newest_ms).toISOString(),
        at: new Date().toISOString(),
      };
      const written = await replaceRecord(bus, "marks", key, { value: mark, revision });
      if (written === undefined) return log.debug({ stream }, "another keeper removes messages of this stream");
      revision = written;
      removed += await remove(options, retired);
    }
    if (due.length < round.length || round.length === 0) break;
    next = round.at(-1)!.sequence + 1;
  }
  metrics.retentionLooked(stream, behind_ms, kept);
  if (removed > 0) log.info({ stream, removed, behind_ms, kept: Object.fromEntries(kept) }, "retention");
}

/** Removes messages at the pace, a few at once, so that a slow disk does not set it. Answers how many were there. */
async function remove({ bus, stream, pace, metrics, signal }: RetentionOptions, messages: readonly Scanned[]) {
  let removed = 0;
  const queue = messages[Symbol.iterator]();
  const worker = async () => {
    for (const { sequence } of queue) {
      await sleep(pace.turn(performance.now()), undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      if (!(await deleteMessage(bus, stream, sequence))) continue;
      metrics.retired(stream, 1);
      removed++;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return removed;
}

/** Removals under way at once, in one stream. */
const CONCURRENCY = 4;

/** The next messages, at most {@link ROUND}. */
async function take(bus: Bus, range: { stream: string; from: number; through: number }): Promise<Scanned[]> {
  const taken: Scanned[] = [];
  for await (const batch of scan(bus, { ...range, pull: ROUND / 2 })) {
    taken.push(...batch);
    if (taken.length >= ROUND) break;
  }
  return taken;
}

function beforeFirst<T>(list: readonly T[], is: (item: T) => boolean): readonly T[] {
  const index = list.findIndex(is);
  return index < 0 ? list : list.slice(0, index);
}

const keep = (kept: Map<Kept, number>, why: Kept, messages: number) => {
  if (messages > 0) kept.set(why, (kept.get(why) ?? 0) + messages);
};
