/** Positions as runs `[first, last]`, ascending: a stream of millions without gaps is one run. */
export type Run = [first: number, last: number];

/** Collects positions that come in ascending order. */
export class Runs {
  readonly list: Run[] = [];
  count = 0;

  add(first: number, last = first): void {
    this.count += last - first + 1;
    const run = this.list.at(-1);
    if (run && run[1] === first - 1) run[1] = last;
    else this.list.push([first, last]);
  }
}

/** What of `1…through` is in no run. */
export function gaps(runs: readonly Run[], through: number): Run[] {
  const empty: Run[] = [];
  let next = 1;
  for (const [first, last] of runs) {
    if (next > through) break;
    if (first > next) empty.push([next, Math.min(first - 1, through)]);
    next = last + 1;
  }
  if (next <= through) empty.push([next, through]);
  return empty;
}

/** What is in `runs` and not in `others`; both ascending. */
export function without(runs: readonly Run[], others: readonly Run[]): Run[] {
  const left: Run[] = [];
  let at = 0;
  for (const [first, last] of runs) {
    let next = first;
    while (at < others.length && others[at]![1] < next) at++;
    for (let index = at; index < others.length && others[index]![0] <= last; index++) {
      const [from, to] = others[index]!;
      if (from > next) left.push([next, from - 1]);
      next = Math.max(next, to + 1);
    }
    if (next <= last) left.push([next, last]);
  }
  return left;
}

export const countOf = (runs: readonly Run[]): number => runs.reduce((sum, [first, last]) => sum + last - first + 1, 0);

/** `7` or `7–9`. */
export const written = ([first, last]: Run): string => (first === last ? String(first) : `${first}–${last}`);
