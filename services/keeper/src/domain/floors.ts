import type { ConsumerState } from "@millrace/bus";
import { matches } from "@millrace/bus";
import { laneOf } from "./identity.ts";

type Consumer = Pick<ConsumerState, "filters" | "acknowledged_sequence">;

/** Whether a consumer is given messages of a subject. */
export const isGiven = ({ filters }: Pick<ConsumerState, "filters">, subject: string): boolean =>
  filters.length === 0 || filters.some((filter) => matches(filter, subject));

/**
 * Finds the consumers that are given a subject. Consumers never filter by id, so what was found holds for every subject
 * that differs in nothing else.
 */
export function consumersBySubject<C extends Consumer>(consumers: readonly C[]): (subject: string) => readonly C[] {
  const known = new Map<string, readonly C[]>();
  return (subject) => {
    const lane = laneOf(subject);
    let found = known.get(lane);
    if (!found) {
      found = consumers.filter((consumer) => isGiven(consumer, subject));
      if (known.size < LANES_MAX) known.set(lane, found);
    }
    return found;
  };
}

/** Bounds what is remembered when somebody publishes under ever new subjects. */
const LANES_MAX = 100_000;

/** Whether every consumer that is given a message has acknowledged it, and all before it. */
export function acknowledgedBy(
  consumers: readonly Consumer[],
): (message: { subject: string; sequence: number }) => boolean {
  const given = consumersBySubject(consumers);
  return ({ subject, sequence }) =>
    given(subject).every(({ acknowledged_sequence }) => sequence <= acknowledged_sequence);
}
