import type { ConsumerState } from "@millrace/bus";

/** A consumer has work when messages wait for it, or were given and are not acknowledged. */
export const hasWork = ({ pending, ack_pending }: ConsumerState): boolean => pending > 0 || ack_pending > 0;

/** Whether something happened between two looks: a delivery (again, too) or an acknowledgement. */
export const hasMoved = (before: ConsumerState, now: ConsumerState): boolean =>
  before.deliveries !== now.deliveries ||
  before.acknowledged_sequence !== now.acknowledged_sequence ||
  before.ack_pending !== now.ack_pending;

/** Those that had work at the first look and have not moved since, as they are now. */
export function standing(before: readonly ConsumerState[], now: readonly ConsumerState[]): ConsumerState[] {
  const earlier = new Map(before.map((consumer) => [`${consumer.stream} ${consumer.name}`, consumer]));
  return now.filter((consumer) => {
    const known = earlier.get(`${consumer.stream} ${consumer.name}`);
    return known !== undefined && hasWork(known) && hasWork(consumer) && !hasMoved(known, consumer);
  });
}

/** Which service a consumer belongs to: it is named after it. */
export const serviceOf = (consumer: string): string => /^[a-z]+/.exec(consumer)?.[0] ?? consumer;
