/** Something that was looked at again and again while it grew or shrank. */
export type Sample = { at_ms: number; count: number };

/** When the count passed `count`, between two looks in proportion. @throws RangeError when it never did */
export function passed(samples: readonly Sample[], count: number): number {
  const next = samples.findIndex((sample) => sample.count >= count);
  if (next < 0) throw new RangeError(`the count of ${count} was never reached`);
  const after = samples[next]!;
  const before = samples[next - 1];
  if (!before || after.count === before.count) return after.at_ms;
  const part = (count - before.count) / (after.count - before.count);
  return before.at_ms + part * (after.at_ms - before.at_ms);
}

/** Counts per second between two counts. @throws RangeError when one was never reached */
export const rateBetween = (samples: readonly Sample[], from: number, to: number): number =>
  ((to - from) * 1_000) / (passed(samples, to) - passed(samples, from));

/** Looks every `every_ms` until `done` says so. @throws Error when that takes longer than `within_ms` */
export async function sampleUntil(
  look: () => Promise<number>,
  done: (count: number) => boolean,
  { every_ms, within_ms }: { every_ms: number; within_ms: number },
): Promise<Sample[]> {
  const began = performance.now();
  const samples: Sample[] = [];
  for (;;) {
    const count = await look();
    const at_ms = performance.now();
    samples.push({ at_ms, count });
    if (done(count)) return samples;
    if (at_ms - began > within_ms) throw new Error(`after ${within_ms} ms the count is ${count}`);
    await new Promise((resolve) => setTimeout(resolve, every_ms));
  }
}
