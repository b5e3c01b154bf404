import { PRIORITIES, PRIORITY_WEIGHTS, type Priority, type Problem } from "@millrace/contracts";
import { FadingRate } from "./averages.ts";
import { Drain } from "./drain.ts";
import { type Company, servedWithin, waitOf } from "./fair-share.ts";

/** Why a request is not taken, and when to come again; without a time when coming again does not help. */
export type Refusal = Problem & { retry_after_s?: number };

/** What the broker says of a lane's consumer. */
export type LaneState = {
  /** Stored, and not delivered to any worker yet. */
  pending: number;
  /** Delivered, and not acknowledged yet. */
  underWay: number;
  /** Of those under way: delivered more than once. */
  redelivered: number;
  /** Deliveries since the consumer exists, repeated ones included. */
  delivered: number;
};

/** Who wants to put a request into a model's queue. */
export type Wish = {
  tenant: string;
  priority: Priority;
  /** Rows of its inputs, when they are known: workers share out rows and not requests. */
  rows?: number;
  /** ms since 1970. */
  deadline_ms?: number | undefined;
};

export type LaneQueue = {
  readonly tenant: string;
  readonly priority: Priority;
  /** Rows of a request: the average of those that this process put in. */
  rows: number;
  /** Undefined while its consumer does not exist: then it holds what this process put in, for all that is known. */
  state: LaneState | undefined;
  waiting: number;
  /** Requests per second. */
  readonly arriving: FadingRate;
  /** Whether anything was delivered between the last two looks. */
  moved: boolean;
  /** When it was looked at last: the clock, and the count of looks at the model. */
  looked_s: number;
  look: number;
  /** Requests of this process for it: admitted; of those stored or failed; and of those in `waiting` by now. */
  admitted: number;
  finished: number;
  seen: number;
  /** `finished` when the look under way began. */
  mark: number;
  /** While it is closed: when it opens, as those who were refused were told, and whether the model stood at the time. */
  closed: { opens_s: number; stood: boolean } | undefined;
  verdict: Verdict | undefined;
};

/** What can be said of a lane until the next look. */
type Verdict = {
  /** Requests of this process that it was given for. */
  admitted: number;
  /** How long the next request would wait, and each behind it longer than the one before. */
  wait_s: number;
  more_s: number;
  /** Requests that may come in before the wait passes the limit. */
  room: number;
  /** Made for the first one that is refused. */
  refusal?: { code: "tenant-over-share" | "overloaded"; detail: string };
};

export type ModelQueueOptions = {
  model: string;
  /** Longest wait; a request that would wait longer is refused. Seconds. */
  wait_max_s: number;
  /** What one run of the model takes at most, by its manifest. Without it, nothing is known of a single run. */
  run?: Run;
  /** 0 to 1, for the spread of `Retry-After`. */
  random: () => number;
};

/** Bounds of one run of a model: its rows, and how long it may take. */
export type Run = { rows_max: number; timeout_s: number };

/** A lane that passes the limit is closed until the wait will be this part of it, so that it does not flap at the limit. */
const REOPEN = 0.9;
/** A lane whose wait fell to this part of the limit opens before its time: the model became much faster. */
const EARLY = 0.5;
/** `Retry-After` is stretched by up to this part at random, so that those who were refused do not come all at once. */
const SPREAD = 0.15;
const RETRY_AFTER_MAX_S = 3_600;
/** Requests that a worker takes into one run for certain, if their rows fit. */
const RUN_REQUESTS = 128;
/** Lanes known of one model. Requests of further ones are taken without an estimate. */
export const LANES_MAX = 4_096;
/** Part of each request in a lane's average of rows. */
const NEW = 0.05;
/** A lane in which nothing happens is looked at once in so many looks. */
const IDLE_LOOKS = 10;

/**
 * The queue of one model as ingest knows it: looked at once a second, and in between by what this process puts in.
 * Pure: time and randomness are passed in. Admitting costs two map look-ups and a comparison; everything that takes
 * longer is computed at most once per lane and look.
 */
export class ModelQueue {
  readonly #model: string;
  readonly #random: () => number;
  readonly #tau_s: number;
  readonly #drain: Drain;
  readonly #lanes: LaneQueue[] = [];
  readonly #tenants = new Map<string, Partial<Record<Priority, LaneQueue>>>();
  #looks = 0;
  /** Time of the last look, in seconds. */
  #now = 0;
  /** Longest wait; may be changed while the queue is in use, as may what bounds a run. */
  wait_max_s: number;
  run: Run | undefined;

  constructor({ model, wait_max_s, run, random }: ModelQueueOptions) {
    this.#model = model;
    this.#random = random;
    this.wait_max_s = wait_max_s;
    this.run = run;
    // A decision about minutes should not be moved by seconds, nor one about seconds wait for minutes.
    this.#tau_s = Math.min(60, Math.max(10, wait_max_s / 15));
    this.#drain = new Drain(this.#tau_s);
  }

  /** The lane of a tenant at a priority; undefined past the bound of lanes. */
  lane(tenant: string, priority: Priority): LaneQueue | undefined {
    const lanes = this.#tenants.get(tenant);
    const lane = lanes?.[priority];
    if (lane !== undefined || this.#lanes.length >= LANES_MAX) return lane;
    const made: LaneQueue = {
      tenant,
      priority,
      rows: 1,
      state: undefined,
      waiting: 0,
      arriving: new FadingRate(this.#tau_s),
      moved: true, // until it was looked at
      looked_s: 0,
      look: 0,
      admitted: 0,
      finished: 0,
      seen: 0,
      mark: 0,
      closed: undefined,
      verdict: undefined,
    };
    this.#lanes.push(made);
    if (lanes) lanes[priority] = made;
    else this.#tenants.set(tenant, { [priority]: made });
    return made;
  }

  /** Takes a place for a request, to be given back by {@link finished}; or says why there is none. */
  admit(wish: Wish, now_ms: number): Refusal | undefined {
    const lane = this.lane(wish.tenant, wish.priority);
    if (!lane) return undefined;
    const refusal = this.#refusal(lane, wish.deadline_ms, now_ms);
    if (refusal) return refusal;
    const rows = wish.rows ?? 1;
    lane.rows = lane.admitted === 0 ? rows : lane.rows + NEW * (rows - lane.rows);
    lane.admitted++;
    return undefined;
  }

  /** What {@link admit} would say, without taking anything. */
  refusal(wish: Wish, now_ms: number): Refusal | undefined {
    const lane = this.lane(wish.tenant, wish.priority);
    return lane && this.#refusal(lane, wish.deadline_ms, now_ms);
  }

  /** A request that was admitted is stored, or was not. */
  finished({ tenant, priority }: Wish): void {
    const lane = this.#tenants.get(tenant)?.[priority];
    if (lane) lane.finished++;
  }

  /** The lanes to look at now: all in which something happens, and a tenth of the others. */
  *due(): Generator<LaneQueue> {
    for (const [index, lane] of this.#lanes.entries()) {
      const idle = lane.waiting === 0 && lane.admitted === lane.seen && !lane.moved;
      if (!idle || (this.#looks + index) % IDLE_LOOKS === 0) yield lane;
    }
  }

  /**
   * What was seen at `now` (seconds, monotonic) of the lanes that were due. Their `mark` was set to `finished` before
   * the broker was asked: what was stored by then is in the answer.
   */
  look(now: number, states: ReadonlyMap<LaneQueue, LaneState | undefined>): void {
    let acknowledged = 0;
    for (const [lane, state] of states) {
      const before = lane.state;
      const waiting = state ? state.pending + state.underWay : 0;
      lane.moved = before?.delivered !== state?.delivered;
      if (before && state) {
        const gone = acknowledgedBetween(before, state);
        lane.arriving.add(Math.max(0, waiting - lane.waiting + gone), now - lane.looked_s);
        // What an idle lane did since it was looked at ten looks ago says nothing of this one.
        if (lane.look === this.#looks) acknowledged += gone * lane.rows;
      }
      lane.state = state;
      lane.waiting = waiting;
      lane.looked_s = now;
      lane.look = this.#looks + 1;
      if (state) lane.seen = lane.mark;
    }
    this.#looks++;
    this.#now = now;
    let waiting = 0;
    for (const lane of this.#lanes) {
      waiting += lane.waiting * lane.rows;
      lane.verdict = undefined;
    }
    this.#drain.look(now, { waiting, acknowledged });
  }

  /** Of all lanes: requests that wait, rows per second when busy, and the longest wait of a lane that is in use. */
  summary(): { waiting: number; perSecond: number | undefined; wait_s: number } {
    let waiting = 0;
    let wait_s = this.#drain.standing_s;
    for (const lane of this.#lanes) {
      const backlog = backlogOf(lane);
      if (backlog === 0) continue;
      waiting += backlog;
      wait_s = Math.max(wait_s, this.#verdict(lane).wait_s);
    }
    return { waiting, perSecond: this.#drain.perSecond, wait_s };
  }

  #refusal(lane: LaneQueue, deadline_ms: number | undefined, now_ms: number): Refusal | undefined {
    const verdict = this.#verdict(lane);
    const more = lane.admitted - verdict.admitted;
    if (more >= verdict.room) lane.closed ??= this.#close(lane);
    if (lane.closed) return this.#overLimit(lane, verdict, lane.closed.opens_s - this.#now);
    if (deadline_ms === undefined) return undefined;
    const wait_s = verdict.wait_s + more * verdict.more_s;
    if (now_ms + wait_s * 1_000 <= deadline_ms) return undefined;
    const left_s = Math.max(0, (deadline_ms - now_ms) / 1_000);
    return {
      code: "too-late",
      detail: `it would wait ${seconds(wait_s)} for ${this.#model}, and its deadline is in ${seconds(left_s)}`,
    };
  }

  #verdict(lane: LaneQueue): Verdict {
    if (lane.verdict) return lane.verdict;
    const verdict = this.#judge(lane);
    if (lane.closed) lane.closed = this.#stillClosed(lane.closed, verdict.wait_s);
    lane.verdict = verdict;
    return verdict;
  }

  /** The lane passed the limit: until when it is closed, if nothing further comes into it. */
  #close(lane: LaneQueue): NonNullable<LaneQueue["closed"]> {
    const { standing_s, perSecond } = this.#drain;
    const rows = backlogOf(lane) * lane.rows;
    const moving_s = perSecond === undefined ? 0 : waitOf(rows, this.#companyOf(lane), perSecond);
    const over_s = standing_s + Math.max(0, moving_s - REOPEN * this.wait_max_s);
    return { opens_s: this.#now + over_s, stood: standing_s > 0 };
  }

  /**
   * A lane opens when those who were refused were told, and not whenever the estimate trembles: the queue is long
   * enough that nothing is lost by that. Later when the wait is above the limit then; sooner when the model is much
   * faster, or does not stand any more.
   */
  #stillClosed({ opens_s, stood }: NonNullable<LaneQueue["closed"]>, wait_s: number): LaneQueue["closed"] {
    if (wait_s <= EARLY * this.wait_max_s) return undefined;
    const stands = this.#drain.standing_s > 0;
    const told = stood && !stands ? this.#now + wait_s - REOPEN * this.wait_max_s : opens_s;
    const opens = Math.max(told, this.#now + wait_s - this.wait_max_s);
    return opens > this.#now ? { opens_s: opens, stood: stands } : undefined;
  }

  #judge(lane: LaneQueue): Verdict {
    const { admitted } = lane;
    const { standing_s, perSecond } = this.#drain;
    const left_s = this.wait_max_s - standing_s;
    // A model that was never seen busy may be as fast as it likes.
    if (perSecond === undefined) {
      return { admitted, wait_s: standing_s, more_s: 0, room: left_s > 0 ? Number.POSITIVE_INFINITY : 0 };
    }
    const backlog = backlogOf(lane);
    const company = this.#companyOf(lane);
    const soon = this.#nextRun();
    const moving_s = Math.min(
      waitOf(backlog * lane.rows, company, perSecond),
      soon?.within_s ?? Number.POSITIVE_INFINITY,
    );
    const wait_s = standing_s + moving_s;
    const served = Math.max(0, servedWithin(left_s, company, perSecond) / lane.rows - backlog);
    const room = soon && soon.within_s < left_s ? Math.max(served, soon.room) : served;
    return { admitted, wait_s, more_s: room > 0 ? (this.wait_max_s - wait_s) / room : 0, room };
  }

  /**
   * Where all that waits fits into one run, the next run takes it, whatever the drain looked like: while workers were
   * killed and started again, a few requests can take a long time without saying anything of the model's speed.
   */
  #nextRun(): { within_s: number; room: number } | undefined {
    if (!this.run) return undefined;
    let requests = 0;
    let rows = 0;
    for (const lane of this.#lanes) {
      const backlog = backlogOf(lane);
      requests += backlog;
      rows += backlog * lane.rows;
    }
    if (requests >= RUN_REQUESTS || rows >= this.run.rows_max) return undefined;
    // The run under way, and the next.
    return { within_s: 2 * this.run.timeout_s, room: RUN_REQUESTS - requests };
  }

  #companyOf(lane: LaneQueue): Company {
    const peers: { waiting: number; arriving: number }[] = [];
    const classes = new Map<Priority, { weight: number; waiting: number; arriving: number }>();
    for (const other of this.#lanes) {
      if (other === lane) continue;
      const waiting = backlogOf(other) * other.rows;
      const arriving = (other.arriving.perSecond ?? 0) * other.rows;
      if (other.priority === lane.priority) {
        if (waiting > 0 || arriving > 0) peers.push({ waiting, arriving });
        continue;
      }
      const of = classes.get(other.priority) ?? { weight: PRIORITY_WEIGHTS[other.priority], waiting: 0, arriving: 0 };
      of.waiting += waiting;
      of.arriving += arriving;
      classes.set(other.priority, of);
    }
    return { weight: PRIORITY_WEIGHTS[lane.priority], peers, classes: [...classes.values()] };
  }

  /** The lane is over the limit: whose fault it is, and when to come again. */
  #overLimit(lane: LaneQueue, verdict: Verdict, over_s: number): Refusal {
    verdict.refusal ??= this.#reason(lane, verdict);
    const spread = 1 + SPREAD * this.#random();
    return {
      ...verdict.refusal,
      retry_after_s: Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil(over_s * spread))),
    };
  }

  #reason(lane: LaneQueue, verdict: Verdict): NonNullable<Verdict["refusal"]> {
    const { standing_s } = this.#drain;
    const wait_s = verdict.wait_s + (lane.admitted - verdict.admitted) * verdict.more_s;
    const about = standing_s > 0 ? `${this.#model} has not moved for ${seconds(standing_s)}; a` : "a";
    return {
      code: standing_s < this.wait_max_s && this.#othersAreWithin(lane) ? "tenant-over-share" : "overloaded",
      detail: `${about} request at ${lane.priority} priority would wait ${seconds(wait_s)}, and the limit is ${this.wait_max_s} s`,
    };
  }

  /** Whether another tenant that uses the model at this priority, or a lower one, is within the limit. */
  #othersAreWithin(lane: LaneQueue): boolean {
    return this.#lanes.some((other) => {
      if (other.tenant === lane.tenant || isAhead(other, lane) || backlogOf(other) === 0) return false;
      const verdict = this.#verdict(other);
      return !other.closed && other.admitted - verdict.admitted < verdict.room;
    });
  }
}

const isAhead = (one: LaneQueue, other: LaneQueue): boolean =>
  PRIORITIES.indexOf(one.priority) < PRIORITIES.indexOf(other.priority);

/** Requests that wait in a lane: those seen at the last look, and those of this process that it could not see. */
const backlogOf = (lane: LaneQueue): number => lane.waiting + lane.admitted - lane.seen;

/**
 * Acknowledgements between two looks at a consumer: what was delivered and is not under way any more. A delivery that
 * only repeats one under way (its worker was killed) is none; of a consumer that was made anew nothing is known.
 */
export function acknowledgedBetween(before: LaneState, after: LaneState): number {
  const delivered = after.delivered - before.delivered;
  const repeated = Math.max(0, after.redelivered - before.redelivered);
  return Math.max(0, delivered - repeated + before.underWay - after.underWay);
}

const seconds = (value: number): string => (value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`);
