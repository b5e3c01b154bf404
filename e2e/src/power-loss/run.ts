import { setTimeout as sleep } from "node:timers/promises";
import { eventually, seededRandom } from "@millrace/testkit";
import { type Accepted, startLoad } from "./load.ts";
import { type Observed, observeOutcomes } from "./observer.ts";
import { openPlant, type Plant, type SyncInterval } from "./plant.ts";
import type { DirectoryRule, Loss } from "./power-loss-disk.ts";
import { startRetention } from "./retention.ts";
import { readStored, type Stored } from "./stored.ts";

export type PowerLossOptions = {
  /** Power losses. */
  rounds: number;
  seed: number;
  directories: DirectoryRule;
  syncInterval: SyncInterval;
  /** HTTP clients that submit at once. */
  clients: number;
  /** Told after each round. */
  report?: (round: number, books: Books) => void;
};

/** What was promised, and what of it was there after the power came back. */
export type Books = {
  rounds: number;
  seed: number;
  directories: DirectoryRule;
  sync_interval: SyncInterval;
  /** Requests that were answered with 202. */
  accepted: number;
  /** Requests with an outcome that were deleted, as retention does, while others were accepted. */
  deleted: number;
  /** Ids of accepted requests that the stream does not hold, or holds with another body. */
  accepted_lost: string[];
  /** Outcomes whose storing was acknowledged to inference before the power went. */
  outcomes_acknowledged: number;
  /** Of these, the positions at which nothing or something else is stored. */
  outcomes_lost: number;
  /** Accepted requests that had no outcome after a minute without power losses. */
  without_outcome: string[];
  /** Ids with more than one outcome. */
  twice: string[];
  /** Outcomes that listeners saw and that were not stored in the end: shown, but never acknowledged. */
  shown_not_kept: number;
  /** Outcomes of a request that is not stored where they say. */
  without_request: number;
  /** Streams that a power loss removed as a whole. */
  streams_lost: string[];
  /** Files and names that were not durable when the power went, by the number of rounds. */
  unsaved: Record<string, number>;
};

/** A store sees this many power losses before the next one begins anew: old and new stores both lose their power. */
const ROUNDS_PER_STORE = 10;
/** When the power goes, after the first 202 of a round. */
const CUT_MS = [100, 1_200] as const;
const BACK_MS = 30_000;
const SETTLE_MS = 60_000;

/**
 * Cuts the broker's power under load, again and again, and looks each time whether everything is there that was
 * promised before. Nothing is thrown when something is missing: that stands in the books.
 */
export async function losePowerRepeatedly(options: PowerLossOptions): Promise<Books> {
  const random = seededRandom(options.seed);
  const books: Books = {
    rounds: 0,
    seed: options.seed,
    directories: options.directories,
    sync_interval: options.syncInterval,
    accepted: 0,
    deleted: 0,
    accepted_lost: [],
    outcomes_acknowledged: 0,
    outcomes_lost: 0,
    without_outcome: [],
    twice: [],
    shown_not_kept: 0,
    without_request: 0,
    streams_lost: [],
    unsaved: {},
  };
  while (books.rounds < options.rounds) {
    await using plant = await openPlant({ ...options, seed: random.integer(0, 2 ** 31 - 1) });
    const observer = observeOutcomes(plant.operator);
    const accepted: Accepted = new Map();
    const acknowledged = new Map<number, string | undefined>();
    const deleted = new Set<string>();
    let stored: Stored = { requests: new Map(), outcomes: new Map(), missing: [] };
    const last = Math.min(options.rounds, books.rounds + ROUNDS_PER_STORE);
    while (books.rounds < last) {
      const load = startLoad(plant, { clients: options.clients, prefix: `round-${books.rounds}` });
      const retention = startRetention(plant.operator, random.shuffled(settled(stored)));
      await load.started;
      await sleep(random.integer(...CUT_MS));
      const loss = await plant.losePower();
      for (const id of retention.stop()) {
        deleted.add(id);
        accepted.delete(id);
      }
      const observed = observer.take();
      const stopped = load.stop();
      await plant.restorePower();
      await stopped; // what was under way is answered by the broker that came back
      for (const [id, digest] of load.accepted) accepted.set(id, digest);
      for (const sequence of observed.acknowledged) acknowledged.set(sequence, observed.republished.get(sequence));

      stored = await look(plant);
      books.rounds++;
      books.accepted += load.accepted.size;
      books.outcomes_acknowledged += observed.acknowledged.size;
      books.outcomes_lost += drop(acknowledged, (sequence, digest) => !isStored(stored, sequence, digest)).length;
      books.shown_not_kept += shownOnly(observed, stored);
      const lost = drop(accepted, (id, digest) => stored.requests.get(id)?.digest !== digest);
      books.accepted_lost.push(...lost);
      for (const stream of stored.missing) books.streams_lost.push(`${stream} in round ${books.rounds}`);
      count(books.unsaved, loss);
      options.report?.(books.rounds, books);
      if (stored.missing.length > 0) break; // nothing more can be learned from this store
    }
    books.deleted += deleted.size;
    await settle(plant, accepted, deleted, books);
  }
  return books;
}

/** True when no promise was broken. */
export const keepsItsWord = (books: Books): boolean =>
  books.accepted_lost.length === 0 &&
  books.outcomes_lost === 0 &&
  books.without_outcome.length === 0 &&
  books.twice.length === 0 &&
  books.streams_lost.length === 0;

/** Half of the requests that have an outcome, which retention may delete. */
function settled({ requests, outcomes }: Stored): { id: string; sequence: number }[] {
  const ended = [...outcomes.values()].flatMap(({ id }) => {
    const request = requests.get(id);
    return request === undefined ? [] : [{ id, sequence: request.sequence }];
  });
  return ended.filter((_, index) => index % 2 === 0);
}

const look = (plant: Plant): Promise<Stored> => eventually(() => readStored(plant.operator), { within_ms: BACK_MS });

/** Waits until every request that is there has its outcome, and counts those that are not as they should be. */
async function settle(plant: Plant, accepted: Accepted, deleted: ReadonlySet<string>, books: Books): Promise<void> {
  const pending = ({ requests, outcomes }: Stored) => {
    const ended = new Set([...outcomes.values()].map(({ id }) => id));
    return [...requests.keys()].filter((id) => !ended.has(id));
  };
  const stored = await eventually(
    async () => {
      const now = await look(plant);
      const waiting = pending(now).length;
      if (waiting > 0) throw new Error(`${waiting} requests have no outcome`);
      return now;
    },
    { within_ms: SETTLE_MS, every_ms: 250 },
  ).catch(() => look(plant));
  books.without_outcome.push(...pending(stored).filter((id) => accepted.has(id)));
  const seen = new Set<string>();
  for (const { id, requestSequence } of stored.outcomes.values()) {
    if (seen.has(id)) books.twice.push(id);
    seen.add(id);
    if (!deleted.has(id) && stored.requests.get(id)?.sequence !== requestSequence) books.without_request++;
  }
}

function isStored(stored: Stored, sequence: number, digest: string | undefined): boolean {
  const outcome = stored.outcomes.get(sequence);
  return outcome !== undefined && (digest === undefined || outcome.digest === digest);
}

const shownOnly = ({ acknowledged, republished }: Observed, stored: Stored): number =>
  [...republished].filter(([sequence, digest]) => !acknowledged.has(sequence) && !isStored(stored, sequence, digest))
    .length;

/** Takes out of the map what fits, so that a loss is counted once. @returns its keys */
function drop<K, V>(map: Map<K, V>, fits: (key: K, value: V) => boolean): K[] {
  const found = [...map].filter(([key, value]) => fits(key, value)).map(([key]) => key);
  for (const key of found) map.delete(key);
  return found;
}

/** Counts by kind of file: random names of staged batches and probes, and the numbers of blocks, are written as `*`. */
function count(unsaved: Record<string, number>, { files, entries }: Loss): void {
  const kinds = [...files.map(({ path }) => path), ...entries].map((name) =>
    name.replace(/\/batches\/.*/, "/batches/*").replace(/(?<=_test_)\d+|\d+(?=\.blk)/g, "*"),
  );
  for (const kind of new Set(kinds)) unsaved[kind] = (unsaved[kind] ?? 0) + 1;
}
