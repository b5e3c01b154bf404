import type { Faults } from "./faults.ts";

/** What goes wrong on one link. */
export class LinkFaults {
  readonly #faults: Faults;
  readonly #path: string;
  readonly #drop: (what: "drop-connection" | "drop-link") => void;
  readonly #onLate: () => void;
  /** What was held up, in order. */
  #late: { readonly at: number; readonly act: () => void }[] = [];

  constructor(options: {
    faults: Faults;
    /** What the link is attached to. */
    path: string;
    drop: (what: "drop-connection" | "drop-link") => void;
    /** Something was done outside of a turn. */
    onLate: () => void;
  }) {
    this.#faults = options.faults;
    this.#path = options.path;
    this.#drop = options.drop;
    this.#onLate = options.onLate;
  }

  isBusy(operation: "send" | "receive"): boolean {
    const concerned = ({ operations }: { operations?: string[] }) => operations?.includes(operation) ?? true;
    return this.#faults.strike("server-busy", this.#path, concerned) !== undefined;
  }

  losesLock(): boolean {
    return this.#faults.strike("lose-lock", this.#path) !== undefined;
  }

  /** Whether the answer to a settlement is lost, and the settlement with it. */
  losesDisposition(): "answer" | "both" | undefined {
    const fault = this.#faults.strike("lose-disposition", this.#path);
    return fault && (fault.applied ? "answer" : "both");
  }

  losesConfirmation(): boolean {
    return this.#faults.strike("lose-send-confirmation", this.#path) !== undefined;
  }

  /** A message has passed. */
  transferred(): void {
    const cost = this.#faults.transferred(this.#path);
    if (cost) this.#drop(cost);
  }

  /** Does something now or later, never before what was to be done earlier. */
  pass(what: "transfer" | "disposition", act: () => void): void {
    if (this.#faults.none && this.#late.length === 0) {
      act();
      return;
    }
    const concerned = ({ of }: { of?: string[] }) => of?.includes(what) ?? true;
    const delayMs = this.#faults.strike("delay", this.#path, concerned)?.ms ?? 0;
    if (delayMs === 0 && this.#late.length === 0) {
      act();
      return;
    }
    const at = Math.max(this.#late.at(-1)?.at ?? 0, performance.now() + delayMs);
    this.#late.push({ at, act });
    if (this.#late.length === 1) this.#wait();
  }

  #wait(): void {
    const [first] = this.#late;
    if (!first) return;
    setTimeout(
      () => {
        const later = this.#late.findIndex(({ at }) => at > performance.now());
        for (const { act } of this.#late.splice(0, later < 0 ? this.#late.length : later)) act();
        this.#onLate();
        this.#wait();
      },
      Math.max(1, first.at - performance.now()),
    ).unref();
  }
}
