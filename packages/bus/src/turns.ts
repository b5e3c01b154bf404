/**
 * Whose turn it is. Queues that wait take turns by weight: first among classes (priorities), then among the queues of
 * the class (tenants). Each carries a virtual time, the work it was given divided by its weight, and the one furthest
 * behind is next. Over any stretch in which all wait, work is shared in proportion to the weights, to within one
 * message each, whatever the messages cost.
 *
 * This is start-time fair queueing (Goyal, Vin, Cheng 1996) rather than deficit round robin: costs here differ by a
 * factor of thousands (rows of a request), so that a round robin's quantum would have to be as large as the largest
 * request to stay O(1), and a lone row would then wait behind whole quanta.
 */
export type Share = {
  /** Queues of one class share what the class gets. */
  class: string;
  /** Of the class, among classes; the first queue of a class says it. */
  classWeight: number;
  /** Of the queue, within its class. */
  weight: number;
};

type Timed = { time: number; readonly weight: number };
type Class<Queue> = Timed & { now: number; readonly waiting: Map<Queue, Timed> };

/** Turns among queues, which are compared by identity. */
export class Turns<Queue> {
  readonly #classes = new Map<string, Class<Queue>>();
  readonly #known = new Map<Queue, { of: Class<Queue>; entry: Timed }>();
  #now = 0;

  /** Makes a queue known, with nothing waiting in it. */
  add(queue: Queue, share: Share): void {
    const of = this.#classes.get(share.class) ?? { time: 0, weight: share.classWeight, now: 0, waiting: new Map() };
    this.#classes.set(share.class, of);
    this.#known.set(queue, { of, entry: { time: 0, weight: share.weight } });
  }

  /** Something waits in the queue. It begins at the present: who had nothing to do has not saved up turns. */
  enter(queue: Queue): void {
    const { of, entry } = this.#of(queue);
    if (of.waiting.has(queue)) return;
    if (of.waiting.size === 0) of.time = Math.max(of.time, this.#now);
    entry.time = Math.max(entry.time, of.now);
    of.waiting.set(queue, entry);
  }

  /** Nothing waits in the queue any more. */
  leave(queue: Queue): void {
    this.#of(queue).of.waiting.delete(queue);
  }

  /** The queue whose turn it is, or undefined when nothing waits. */
  next(): Queue | undefined {
    let first: Class<Queue> | undefined;
    for (const one of this.#classes.values())
      if (one.waiting.size > 0 && (first === undefined || one.time < first.time)) first = one;
    if (first === undefined) return undefined;
    let next: Queue | undefined;
    let soonest = Number.POSITIVE_INFINITY;
    for (const [queue, { time }] of first.waiting)
      if (time < soonest) {
        next = queue;
        soonest = time;
      }
    return next;
  }

  /** The queue was given so much work. */
  charge(queue: Queue, cost: number): void {
    const { of, entry } = this.#of(queue);
    this.#now = Math.max(this.#now, of.time);
    of.now = Math.max(of.now, entry.time);
    of.time += cost / of.weight;
    entry.time += cost / entry.weight;
  }

  #of(queue: Queue) {
    const known = this.#known.get(queue);
    if (known === undefined) throw new Error("the queue was not added");
    return known;
  }
}
