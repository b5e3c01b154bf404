import { type Summary, summarize } from "./statistics.ts";

/** One side of a comparison: measures once and answers a figure (a rate, say), or several. */
export type Side<Value = number> = () => Promise<Value>;

/** What each side gave, round by round: index i of every side was measured in the same round. */
export type Samples<Name extends string, Value = number> = Readonly<Record<Name, readonly Value[]>>;

/**
 * Measures all sides in turn, A B A B …, so that what else the machine does hits all of them. Every second round goes
 * backwards: a drift (a disk that fills, a clock that falls) then favours no side. The warm-up rounds are not counted.
 */
export async function interleave<Name extends string, Value = number>(
  sides: Readonly<Record<Name, Side<Value>>>,
  { rounds, warmUps = 1 }: { rounds: number; warmUps?: number },
): Promise<Samples<Name, Value>> {
  const names = Object.keys(sides) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as Value[]])) as Record<Name, Value[]>;
  for (let round = -warmUps; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const value = await sides[name]();
      if (round >= 0) samples[name].push(value);
    }
  }
  return samples;
}

/**
 * A figure computed in each round from that round's own samples: a ratio of neighbours in time is steadier than a
 * ratio of medians.
 */
export function perRound<Name extends string, Value>(
  samples: Samples<Name, Value>,
  compute: (of: Readonly<Record<Name, Value>>) => number,
): Summary {
  const names = Object.keys(samples) as Name[];
  const rounds = Math.min(...names.map((name) => samples[name].length));
  return summarize(
    Array.from({ length: rounds }, (_, round) =>
      compute(Object.fromEntries(names.map((name) => [name, samples[name][round]!])) as Record<Name, Value>),
    ),
  );
}
