import { reaches } from "../adapters/rights.ts";
import { entityPath } from "../adapters/sas.ts";
import { checkFault, type Fault, FaultError, type FaultKind, type FaultOf } from "./fault.ts";

/** A fault as it stands. */
export interface FaultReport {
  readonly name: string;
  readonly fault: Fault;
  /** False once it has ended; it is still listed until it is cleared. */
  readonly active: boolean;
  /** How often it has struck. */
  readonly struck: number;
  /** ISO 8601. */
  readonly endsAt: string;
}

/** What faults do that strike by themselves, and not on something that passes. */
export interface FaultActions {
  /** Drops what a fault concerns; false when there is nothing. */
  drop(fault: FaultOf<"drop-connection" | "drop-link">): boolean;
  partition(partitioned: boolean): void;
}

/** What most kinds have; a partition has none of it. */
interface Draws {
  readonly entity?: string;
  readonly probability?: number;
  readonly seed?: number;
  readonly times?: number;
}

interface Standing {
  readonly name: string;
  readonly fault: Fault & Draws;
  readonly endsAt: number;
  readonly draw: () => number;
  struck: number;
  transfers: number;
  ended: boolean;
  timers: NodeJS.Timeout[];
}

const MAX_FAULTS = 100;
const NAME = /^[A-Za-z0-9._-]{1,100}$/;

/** The faults that were asked for: where something could go wrong, the broker asks here whether it does. */
export class Faults {
  readonly #standing = new Map<string, Standing>();
  readonly #now: () => number;
  #actions: FaultActions | undefined;

  constructor(options: { now: () => number }) {
    this.#now = options.now;
  }

  serve(actions: FaultActions): void {
    this.#actions = actions;
  }

  /**
   * Begins a fault, in place of one of the same name.
   * @throws FaultError naming every mistake
   */
  set(name: string, given: Fault): FaultReport {
    if (!NAME.test(name)) throw new FaultError([`name: must be 1 to 100 of A-Z, a-z, 0-9, '.', '_' and '-'`]);
    const { fault, endsAt } = checkFault(given, this.#now());
    this.clear(name);
    if (this.#standing.size >= MAX_FAULTS) throw new FaultError([`there are ${MAX_FAULTS} faults already`]);
    const draw = random((fault as Draws).seed ?? 1);
    const standing: Standing = { name, fault, endsAt, draw, struck: 0, transfers: 0, ended: false, timers: [] };
    this.#standing.set(name, standing);
    standing.timers.push(setTimeout(() => this.#end(standing), endsAt - this.#now()).unref());
    if (fault.kind === "partition") {
      standing.struck++;
      this.#actions?.partition(true);
    } else if ("everyMs" in fault && fault.everyMs !== undefined) {
      standing.timers.push(setInterval(() => this.#tick(standing, fault), fault.everyMs).unref());
    }
    return report(standing);
  }

  /** Ends and forgets one, or all; false when there is none of that name. */
  clear(name?: string): boolean {
    const chosen = [...this.#standing.values()].filter((one) => name === undefined || one.name === name);
    for (const standing of chosen) {
      this.#end(standing);
      this.#standing.delete(standing.name);
    }
    return chosen.length > 0;
  }

  list(): FaultReport[] {
    return [...this.#standing.values()].map(report);
  }

  /** Nothing can go wrong: for where it would be asked often. */
  get none(): boolean {
    return this.#standing.size === 0;
  }

  /** Whether something goes wrong here, and how; `where` may say more of what it must be about. */
  strike<K extends FaultKind>(
    kind: K,
    path: string,
    where: (fault: FaultOf<K>) => boolean = () => true,
  ): FaultOf<K> | undefined {
    for (const standing of this.#standing.values()) {
      const fault = standing.fault as FaultOf<K>;
      if (fault.kind !== kind || !concerns(fault, path) || !where(fault)) continue;
      if (this.#strikes(standing)) return fault;
    }
    return undefined;
  }

  /** Counts a message that passed; answers what it costs. */
  transferred(path: string): "drop-connection" | "drop-link" | undefined {
    let cost: "drop-connection" | "drop-link" | undefined;
    for (const standing of this.#standing.values()) {
      const { fault } = standing;
      if (standing.ended || !("afterTransfers" in fault) || !fault.afterTransfers || !concerns(fault, path)) continue;
      if (++standing.transfers % fault.afterTransfers === 0 && this.#strikes(standing)) cost ??= fault.kind;
    }
    return cost;
  }

  #tick(standing: Standing, fault: FaultOf<"drop-connection" | "drop-link">): void {
    if (this.#draws(standing) && this.#actions?.drop(fault)) this.#count(standing);
  }

  #strikes(standing: Standing): boolean {
    if (standing.ended || !this.#draws(standing)) return false;
    this.#count(standing);
    return true;
  }

  #draws({ fault, draw }: Standing): boolean {
    return fault.probability === undefined || draw() < fault.probability;
  }

  #count(standing: Standing): void {
    standing.struck++;
    if (standing.struck >= (standing.fault.times ?? Number.POSITIVE_INFINITY)) this.#end(standing);
  }

  #end(standing: Standing): void {
    for (const timer of standing.timers) clearTimeout(timer);
    if (standing.ended) return;
    standing.ended = true;
    if (standing.fault.kind !== "partition") return;
    const others = [...this.#standing.values()].some((one) => one.fault.kind === "partition" && !one.ended);
    if (!others) this.#actions?.partition(false);
  }
}

/** Whether a fault is about that entity, or link to it. */
export function concerns(fault: Fault, path: string): boolean {
  const { entity } = fault as Draws;
  return entity === undefined || reaches(entityPath(entity), path);
}

const report = ({ name, fault, ended, struck, endsAt }: Standing): FaultReport => ({
  name,
  fault,
  active: !ended,
  struck,
  endsAt: new Date(endsAt).toISOString(),
});

/** mulberry32: small, and good enough to decide what goes wrong. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
