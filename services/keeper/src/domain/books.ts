import type { ConsumerState } from "@millrace/bus";
import { CONSUMER_METADATA } from "@millrace/contracts";
import { CompactMap } from "./compact-map.ts";
import { consumersBySubject } from "./floors.ts";
import { outcomeKey } from "./identity.ts";
import { Runs } from "./runs.ts";

/**
 * Adds up what the streams hold, message by message, in bounded memory: about 100 bytes per retained id, nothing per
 * pending one. It is fed in this order, and the order is what makes it right while work goes on: consumers as they were
 * before anything was read, then events, requests and outcomes up to positions that were noted in the same order. So an
 * acknowledged request has its outcome within what is read, and an outcome its request, and a delivery its outcome.
 * Requests that came later are not judged.
 */
export class Books {
  readonly #ids: CompactMap;
  readonly #deliveries: CompactMap;
  readonly #decisions: CompactMap;
  readonly #destinations = new Set<string>();
  readonly #workersOf: (subject: string) => readonly ConsumerState[];
  readonly #receiversOf: (subject: string) => readonly ConsumerState[];
  readonly #effects: Map<string, { outcomes: number; recorded: number }>;
  readonly #present = new Map<string, Runs>();
  readonly #deadLetters = { open: 0, redriven: 0, discarded: 0 };
  readonly suspects = new Suspects();

  readonly #isRetired: BooksOptions["isRetired"];

  constructor({ consumers, isRetired, seed }: BooksOptions) {
    this.#isRetired = isRetired;
    this.#ids = new CompactMap(["f64", "u32", "u32", "u32", "u32"], seed);
    this.#deliveries = new CompactMap(["f64", "u32"], seed);
    this.#decisions = new CompactMap(["f64", "u32"], seed);
    this.#workersOf = consumersBySubject(consumers.work);
    this.#receiversOf = consumersBySubject(consumers.outcomes);
    this.#effects = new Map(consumers.outcomes.map(({ name }) => [name, { outcomes: 0, recorded: 0 }]));
  }

  /** A delivery that was made or failed, or a decision about a dead letter; anything else only has its place. */
  event({ subject, sequence, decision }: { subject: string; sequence: number; decision?: Decision | undefined }): void {
    this.#place("EVENTS", sequence);
    const [, tenant, project, kind, name, id, attempt, ...rest] = subject.split(".");
    if (rest.length > 0 || attempt === undefined) return;
    if (kind === "delivery") {
      this.#destinations.add(name!);
      const entry = this.#deliveries.add(`${name}|${tenant}.${project}.${id}.${attempt}`);
      this.#deliveries.set(entry, DELIVERY.sequence, sequence);
    }
    if (kind === "dead-letter" && decision) {
      const entry = this.#decisions.add(`${tenant}.${project}.${name}.${id}.${attempt}`);
      this.#decisions.set(entry, DECISION.sequence, sequence);
      this.#decisions.set(entry, DECISION.what, decision === "redriven" ? REDRIVEN : DISCARDED);
    }
  }

  /** A request under its address `<tenant>.<project>.<model>.<id>`; a later one of the id stands for it. */
  request(of: { stream: string; key: string; subject: string; sequence: number; attempt: number; old: boolean }): void {
    this.#place(of.stream, of.sequence);
    const workers = this.#workersOf(of.subject);
    // One worker's consumer per lane; of several, the first that has acknowledged it counts.
    const worker = workers.find(({ acknowledged_sequence }) => of.sequence <= acknowledged_sequence) ?? workers[0];
    let standing: number = worker === undefined ? (of.old ? NO_WORKER : WAITING) : WAITING;
    if (worker && of.sequence <= worker.acknowledged_sequence) standing = ACKNOWLEDGED;
    const entry = this.#ids.add(of.key);
    this.#ids.set(entry, ID.request, of.sequence);
    this.#ids.set(entry, ID.attempt, of.attempt);
    this.#ids.set(entry, ID.standing, standing + STANDINGS * this.#streamIndex(of.stream));
  }

  /** An outcome. `request` is where its request was, if its header says so. */
  outcome(of: {
    subject: string;
    sequence: number;
    attempt: number;
    stored_ms: number;
    request?: { stream: string; sequence: number } | undefined;
    /** Its deliveries may have been removed by retention. */
    old: boolean;
  }): void {
    this.#place("OUTCOMES", of.sequence);
    const key = outcomeKey(of.subject);
    if (key === undefined) return;
    const isDone = of.subject.endsWith(".done");
    const id = this.#ids.find(key);
    if (id !== undefined) {
      this.#ids.set(id, ID.outcome, of.attempt);
      this.#ids.set(id, ID.state, isDone ? DONE : DEAD);
    } else if (!of.request || !this.#isRetired(of.request))
      this.suspects.add("outcome-without-request", { sequence: of.sequence, request: of.request });
    if (!isDone) this.#deadLetter(key, of, id);
    this.#deliveriesOf(key, of);
  }

  #deadLetter(key: string, { sequence, attempt }: { sequence: number; attempt: number }, id: number | undefined): void {
    const decision = this.#decisions.find(`${key}.${attempt}`);
    const what = decision === undefined ? 0 : this.#decisions.get(decision, DECISION.what);
    this.#deadLetters[what === REDRIVEN ? "redriven" : what === DISCARDED ? "discarded" : "open"]++;
    // While a redrive is not complete, retention leaves its request: one that is gone was answered.
    if (what === REDRIVEN && id !== undefined && this.#ids.get(id, ID.attempt) <= attempt)
      this.suspects.add("unfinished-redrive", { sequence });
  }

  #deliveriesOf(
    key: string,
    of: { subject: string; sequence: number; attempt: number; stored_ms: number; old: boolean },
  ): void {
    const [tenant, project, , id] = key.split(".");
    const recorded = new Set<string>();
    for (const destination of this.#destinations) {
      const entry = this.#deliveries.find(`${destination}|${tenant}.${project}.${id}.${of.attempt}`);
      if (entry === undefined) continue;
      this.#deliveries.set(entry, DELIVERY.found, 1);
      recorded.add(destination);
    }
    for (const receiver of this.#receiversOf(of.subject)) {
      const isGiven = !receiver.begins_new || of.stored_ms > receiver.created_ms;
      if (!isGiven || of.sequence > receiver.acknowledged_sequence) continue;
      const effect = this.#effects.get(receiver.name)!;
      effect.outcomes++;
      const destination = destinationOf(receiver.name);
      if (recorded.has(destination)) effect.recorded++;
      else if (!of.old && recordsEach(receiver, of.stored_ms))
        this.suspects.add("outcome-without-effect", { sequence: of.sequence, consumer: receiver.name });
    }
  }

  #place(stream: string, sequence: number): void {
    const runs = this.#present.get(stream) ?? new Runs();
    this.#present.set(stream, runs);
    runs.add(sequence);
  }

  readonly #streams: string[] = [];
  #streamIndex(stream: string): number {
    const known = this.#streams.indexOf(stream);
    return known >= 0 ? known : this.#streams.push(stream) - 1;
  }

  /** The sums, once everything was fed. What seems lost is a suspect, and counts as pending until it was looked at. */
  close(): BooksTotals {
    const ids = { accepted: this.#ids.size, done: 0, dead: 0, pending: 0 };
    for (const entry of this.#ids.entries()) {
      const isAnswered = this.#ids.get(entry, ID.outcome) >= this.#ids.get(entry, ID.attempt);
      if (isAnswered) {
        ids[this.#ids.get(entry, ID.state) === DONE ? "done" : "dead"]++;
        continue;
      }
      ids.pending++;
      const packed = this.#ids.get(entry, ID.standing);
      const standing = packed % STANDINGS;
      if (standing === WAITING) continue;
      const stream = this.#streams[Math.floor(packed / STANDINGS)]!;
      const why = standing === ACKNOWLEDGED ? "acknowledged" : "no-worker";
      this.suspects.add("lost-request", { stream, sequence: this.#ids.get(entry, ID.request), why });
    }
    for (const entry of this.#deliveries.entries())
      if (this.#deliveries.get(entry, DELIVERY.found) === 0)
        this.suspects.add("effect-without-outcome", { sequence: this.#deliveries.get(entry, DELIVERY.sequence) });
    return { ids, dead_letters: this.#deadLetters, effects: this.#effects, present: this.#present };
  }
}

export type BooksOptions = {
  /** As they were before anything was read: those that get requests to answer, and those that get outcomes. */
  consumers: { work: readonly ConsumerState[]; outcomes: readonly ConsumerState[] };
  /** Whether a position of a request stream is one that retention has emptied. */
  isRetired: (request: { stream: string; sequence: number }) => boolean;
  /** Of the hash that ids are kept by. */
  seed: number;
};

export type Decision = "redriven" | "discarded";
export type BooksTotals = {
  ids: { accepted: number; done: number; dead: number; pending: number };
  dead_letters: { open: number; redriven: number; discarded: number };
  /** By consumer: outcomes it has acknowledged, and those of them with a delivery on record. */
  effects: ReadonlyMap<string, { outcomes: number; recorded: number }>;
  /** Positions that are there, by stream. */
  present: ReadonlyMap<string, Runs>;
};

/** What seems wrong and is looked at one by one before it is said. */
export type Suspect = {
  "lost-request": { stream: string; sequence: number; why: "acknowledged" | "no-worker" };
  "outcome-without-request": { sequence: number; request: { stream: string; sequence: number } | undefined };
  "effect-without-outcome": { sequence: number };
  "outcome-without-effect": { sequence: number; consumer: string };
  "unfinished-redrive": { sequence: number };
};

/** The first suspects of each kind, and how many there are. Bounded: a stream that is wrong may be wrong all over. */
export class Suspects {
  readonly #kept = new Map<keyof Suspect, { first: unknown[]; total: number }>();

  add<Kind extends keyof Suspect>(kind: Kind, suspect: Suspect[Kind]): void {
    const kept = this.#kept.get(kind) ?? { first: [], total: 0 };
    this.#kept.set(kind, kept);
    kept.total++;
    if (kept.first.length < SUSPECTS_MAX) kept.first.push(suspect);
  }

  of<Kind extends keyof Suspect>(kind: Kind): { first: Suspect[Kind][]; total: number } {
    return (this.#kept.get(kind) as { first: Suspect[Kind][]; total: number }) ?? { first: [], total: 0 };
  }
}

/** Of each kind; more are counted, and not looked at one by one. */
export const SUSPECTS_MAX = 2_000;

/** Columns of the maps. */
const ID = { request: 0, attempt: 1, standing: 2, outcome: 3, state: 4 } as const;
const DELIVERY = { sequence: 0, found: 1 } as const;
const DECISION = { sequence: 0, what: 1 } as const;

const [WAITING, ACKNOWLEDGED, NO_WORKER, STANDINGS] = [0, 1, 2, 3] as const;
const [DONE, DEAD] = [1, 2] as const;
const [REDRIVEN, DISCARDED] = [1, 2] as const;

/** Consumers are named `<service>-<destination>`. */
const destinationOf = (consumer: string): string => consumer.slice(consumer.indexOf("-") + 1);

/** Whether the consumer leaves an event of each outcome of that time. What it says of itself it says in its metadata. */
function recordsEach({ metadata }: ConsumerState, stored_ms: number): boolean {
  if (metadata[CONSUMER_METADATA.effect] !== "each") return false;
  return stored_ms > Date.parse(metadata[CONSUMER_METADATA.since] ?? "");
}
