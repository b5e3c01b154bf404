/** Of numbers that were measured: what is reported of them. Pure. */

/**
 * The quantile `q` (0 to 1) of the values, interpolated between neighbours (type 7 of Hyndman and Fan, as NumPy's
 * default).
 * @throws RangeError when there are no values
 */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError("no values were measured");
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

/** @throws RangeError when there are no values */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

export type Summary = { median: number; min: number; max: number; samples: readonly number[] };

/** @throws RangeError when there are no values */
export const summarize = (samples: readonly number[]): Summary => ({
  median: median(samples),
  min: Math.min(...samples),
  max: Math.max(...samples),
  samples,
});

/**
 * The rate that stages reach one after the other on one machine, when each alone reaches the given rate: 1/Σ(1/rate).
 * What a pipeline would reach whose stages share the same cores and lose nothing by being together.
 * @throws RangeError unless there is a stage and all rates are above zero
 */
export function inSeries(rates: readonly number[]): number {
  if (rates.length === 0 || !rates.every((rate) => rate > 0)) throw new RangeError(`not rates of stages: ${rates}`);
  return 1 / rates.reduce((sum, rate) => sum + 1 / rate, 0);
}
