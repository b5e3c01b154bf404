/** How good predictions are, from predictions and truth alone. */

export interface BinaryQuality {
  readonly rows: number;
  readonly positives: number;
  /** Area under the ROC curve: the chance that a positive row ranks above a negative one. */
  readonly auc: number;
  /** Mean squared error of the probability; lower is better. */
  readonly brier: number;
  readonly threshold: number;
  /** Share of alarms that are true, at the threshold. */
  readonly precision: number;
  /** Share of positives that raise an alarm, at the threshold. */
  readonly recall: number;
}

export function binaryQuality(
  probabilities: ArrayLike<number>,
  truth: ArrayLike<number>,
  { threshold }: { threshold: number },
): BinaryQuality {
  const rows = truth.length;
  let positives = 0;
  let squares = 0;
  let alarms = 0;
  let hits = 0;
  for (let i = 0; i < rows; i++) {
    const [p, y] = [probabilities[i]!, truth[i]!];
    positives += y;
    squares += (p - y) ** 2;
    if (p >= threshold) {
      alarms++;
      hits += y;
    }
  }
  return {
    rows,
    positives,
    auc: areaUnderRoc(probabilities, truth, positives),
    brier: squares / rows,
    threshold,
    precision: hits / alarms,
    recall: hits / positives,
  };
}

/** Mann–Whitney U over all pairs; equal scores share their rank. */
function areaUnderRoc(scores: ArrayLike<number>, truth: ArrayLike<number>, positives: number): number {
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  let rankSum = 0;
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) end++;
    const rank = (start + 1 + end) / 2;
    for (let i = start; i < end; i++) rankSum += truth[order[i]!]! * rank;
    start = end;
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * (scores.length - positives));
}

export interface LifeQuality {
  readonly engines: number;
  /** Root mean squared error, in cycles. */
  readonly rmse: number;
  /** The asymmetric score of the PHM08 challenge, summed over engines: late warnings cost more than early ones. */
  readonly nasa_score: number;
}

export function lifeQuality(predicted: readonly number[], truth: readonly number[]): LifeQuality {
  const errors = truth.map((cycles, i) => predicted[i]! - cycles);
  return {
    engines: truth.length,
    rmse: Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length),
    nasa_score: errors.reduce((sum, error) => sum + Math.expm1(error < 0 ? -error / 13 : error / 10), 0),
  };
}
