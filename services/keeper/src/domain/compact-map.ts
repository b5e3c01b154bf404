/** A map from strings to small records of numbers, for millions of them: typed arrays, no object per entry. */

type Column = Float64Array | Uint32Array;
type ColumnKind = "f64" | "u32";

const CAPACITY_MIN = 1_024;
/** Of the slots, so many may be taken; open addressing gets slow behind it. */
const LOAD_MAX = 0.7;

/**
 * Keys are kept as 64 bits of a seeded hash: two of a million different keys are one with a probability of 3 in 10^8,
 * and nobody can choose such keys without knowing the seed. Costs 8 bytes and the columns per slot, 1.4 to 2.9 slots
 * per entry.
 */
export class CompactMap {
  readonly #seed: number;
  readonly #kinds: readonly ColumnKind[];
  #low: Uint32Array;
  #high: Uint32Array;
  #columns: Column[];
  #size = 0;

  constructor(kinds: readonly ColumnKind[], seed: number) {
    this.#kinds = kinds;
    this.#seed = seed;
    this.#low = new Uint32Array(CAPACITY_MIN);
    this.#high = new Uint32Array(CAPACITY_MIN);
    this.#columns = kinds.map((kind) => column(kind, CAPACITY_MIN));
  }

  get size(): number {
    return this.#size;
  }

  /** The entry of a key, or undefined. Valid until the next {@link add}. */
  find(key: string): number | undefined {
    const [low, high] = hash64(key, this.#seed);
    const slot = this.#probe(low, high);
    return this.#isTaken(slot) ? slot : undefined;
  }

  /** The entry of a key, made with zeros when there is none. Valid until the next {@link add}. */
  add(key: string): number {
    if (this.#size >= this.#low.length * LOAD_MAX) this.#grow();
    const [low, high] = hash64(key, this.#seed);
    const slot = this.#probe(low, high);
    if (!this.#isTaken(slot)) {
      this.#low[slot] = low;
      this.#high[slot] = high;
      this.#size++;
    }
    return slot;
  }

  get(entry: number, index: number): number {
    return this.#columns[index]![entry]!;
  }

  set(entry: number, index: number, value: number): void {
    this.#columns[index]![entry] = value;
  }

  *entries(): Generator<number> {
    for (let slot = 0; slot < this.#low.length; slot++) if (this.#isTaken(slot)) yield slot;
  }

  #isTaken(slot: number): boolean {
    return this.#low[slot] !== 0 || this.#high[slot] !== 0;
  }

  #probe(low: number, high: number): number {
    const mask = this.#low.length - 1;
    let slot = (low ^ (high >>> 7)) & mask;
    while (this.#isTaken(slot) && (this.#low[slot] !== low || this.#high[slot] !== high)) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const { length } = this.#low;
    const [low, high, columns] = [this.#low, this.#high, this.#columns];
    this.#low = new Uint32Array(length * 2);
    this.#high = new Uint32Array(length * 2);
    this.#columns = this.#kinds.map((kind) => column(kind, length * 2));
    for (let from = 0; from < length; from++) {
      if (low[from] === 0 && high[from] === 0) continue;
      const to = this.#probe(low[from]!, high[from]!);
      this.#low[to] = low[from]!;
      this.#high[to] = high[from]!;
      for (const [index, values] of columns.entries()) this.#columns[index]![to] = values[from]!;
    }
  }
}

const column = (kind: ColumnKind, length: number): Column =>
  kind === "f64" ? new Float64Array(length) : new Uint32Array(length);

/**
 * Two interleaved 32-bit hashes over UTF-16 units with MurmurHash3's finalizer (the construction known as cyrb53, kept
 * at its full 64 bits). 0.1 µs for an address; SHA-256 takes 1 µs. Never both zero, which marks a free slot.
 * https://github.com/bryc/code/blob/master/jshash/experimental/cyrb53.js
 */
export function hash64(text: string, seed: number): [low: number, high: number] {
  let a = 0xdeadbeef ^ seed;
  let b = 0x41c6ce57 ^ seed;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    a = Math.imul(a ^ unit, 2654435761);
    b = Math.imul(b ^ unit, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return [a >>> 0 || 1, b >>> 0];
}
