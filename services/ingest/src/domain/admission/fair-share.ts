/**
 * Waiting under weighted fair shares, as a fluid: workers take turns among the priorities that hold something, by
 * weight, and within a priority among its tenants, equally; what one leaves the others take. So by the time at which a
 * priority of weight w has been served `w × v`, another one has been served `w' × v`, or all it had, whichever is less,
 * and the same holds among the tenants of a priority. Amounts are work (rows), rates work per second.
 */

/** What somebody wants of the workers: what waits, and what comes in per second meanwhile. */
export type Demand = { waiting: number; arriving: number };

/** With whom a lane shares the workers. */
export type Company = {
  /** Weight of its own priority. */
  weight: number;
  /** The other tenants of its priority. */
  peers: readonly Demand[];
  /** The other priorities, each as a whole. */
  classes: readonly (Demand & { weight: number })[];
};

/**
 * Seconds until a lane that holds `waiting` is through it, when `perSecond` is served in all.
 *
 * Within T the peers are served p(T) = Σ min(waiting' + arriving' × T, waiting), which puts the lane's priority at the
 * level v(T) = (waiting + p(T)) / w, and all together f(T) = w × v(T) + Σ min(waiting' + arriving' × T, w' × v(T)). The
 * wait solves f(T) = T × perSecond. f is concave and piecewise linear, so Newton's method from the longest possible T
 * falls to the one solution and reaches it after at most as many steps as there are pieces.
 */
export function waitOf(waiting: number, { weight, peers, classes }: Company, perSecond: number): number {
  if (waiting <= 0) return 0;
  const highest = (waiting * (1 + peers.length)) / weight;
  let seconds = classes.reduce((sum, other) => sum + other.weight * highest, highest * weight) / perSecond;
  for (let step = 0; step <= peers.length + classes.length; step++) {
    let served = waiting;
    let growing = 0; // the derivative of `served` by T
    for (const peer of peers) {
      const wanted = peer.waiting + peer.arriving * seconds;
      served += Math.min(wanted, waiting);
      if (wanted < waiting) growing += peer.arriving;
    }
    const level = served / weight;
    const rising = growing / weight;
    for (const other of classes) {
      const wanted = other.waiting + other.arriving * seconds;
      const share = other.weight * level;
      served += Math.min(wanted, share);
      growing += wanted < share ? other.arriving : other.weight * rising;
    }
    const next = seconds - (seconds * perSecond - served) / (perSecond - growing);
    if (!(next < seconds)) break;
    seconds = next;
  }
  return seconds;
}

/** What a lane is served within `seconds`: the inverse of {@link waitOf}. */
export function servedWithin(seconds: number, { weight, peers, classes }: Company, perSecond: number): number {
  if (seconds <= 0) return 0;
  const wanted = ({ waiting, arriving }: Demand) => waiting + arriving * seconds;
  const own = shareOf(
    seconds * perSecond,
    weight,
    classes.map((other) => ({ weight: other.weight, wanted: wanted(other) })),
  );
  return shareOf(
    own,
    1,
    peers.map((peer) => ({ weight: 1, wanted: wanted(peer) })),
  );
}

/** What is left of `total` for somebody who takes all he can get, beside others who want so much (max-min fairness). */
function shareOf(total: number, weight: number, others: readonly { weight: number; wanted: number }[]): number {
  let level = total / others.reduce((sum, other) => sum + other.weight, weight);
  for (let step = 0; step < others.length; step++) {
    let left = total;
    let weights = weight;
    for (const other of others) {
      if (other.wanted < other.weight * level) left -= other.wanted;
      else weights += other.weight;
    }
    const next = left / weights;
    if (!(next > level)) break;
    level = next;
  }
  return level * weight;
}
