/**
 * Waiting under weighted fair shares, as a fluid: workers take turns among the lanes that hold something, by weight,
 * and what a lane leaves the others take. So by the time at which a lane has been served `w × v`, another lane has
 * been served `w' × v`, or all it had, whichever is less.
 */

/** A lane beside the one in question. */
export type Rival = {
  weight: number;
  /** Requests that wait in it. */
  waiting: number;
  /** Requests that come into it per second; they go on coming while the lane in question waits. */
  arriving: number;
};

/**
 * Seconds until a lane that holds `waiting` requests is through them, when `perSecond` are served in all.
 *
 * Solves T × perSecond = w × v + Σ min(waiting' + arriving' × T, w' × v) with v = waiting / w. The right side is concave
 * in T, so Newton's method from the longest possible T (every rival takes its full share) falls to the one solution;
 * since each step can only free rivals, there are at most as many steps as rivals.
 */
export function waitOf(waiting: number, weight: number, rivals: readonly Rival[], perSecond: number): number {
  if (waiting <= 0) return 0;
  const level = waiting / weight;
  let seconds = rivals.reduce((sum, rival) => sum + rival.weight * level, waiting) / perSecond;
  for (let step = 0; step < rivals.length; step++) {
    let served = waiting;
    let arriving = 0;
    for (const rival of rivals) {
      if (rival.waiting + rival.arriving * seconds < rival.weight * level) {
        served += rival.waiting;
        arriving += rival.arriving;
      } else served += rival.weight * level;
    }
    const next = served / (perSecond - arriving);
    if (!(next < seconds)) break;
    seconds = next;
  }
  return seconds;
}

/** Requests of a lane that are served within `seconds`: the inverse of {@link waitOf}. */
export function servedWithin(seconds: number, weight: number, rivals: readonly Rival[], perSecond: number): number {
  if (seconds <= 0) return 0;
  const total = seconds * perSecond;
  let level = total / rivals.reduce((sum, rival) => sum + rival.weight, weight);
  for (let step = 0; step < rivals.length; step++) {
    let left = total;
    let weights = weight;
    for (const rival of rivals) {
      const wanted = rival.waiting + rival.arriving * seconds;
      if (wanted < rival.weight * level) left -= wanted;
      else weights += rival.weight;
    }
    const next = left / weights;
    if (!(next > level)) break;
    level = next;
  }
  return level * weight;
}
