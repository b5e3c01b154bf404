import { type Envelope, EVENTS, fromHeaders } from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { type Consumption, consume, type Delivery } from "./consume.ts";
import type { Verdict } from "./verdict.ts";

/** A stored event. The envelope is absent when its headers are not CloudEvents; the bytes are kept as they are. */
export type EventDelivery = Pick<Delivery, "subject" | "sequence" | "body" | "attempt" | "stored_at"> & {
  envelope: Envelope | undefined;
};

/** Consumes every event, in order when `concurrency` is 1. */
export const consumeEvents = (
  bus: Bus,
  options: { durable: string; batch_max: number; concurrency: number },
  handle: (events: readonly EventDelivery[]) => Promise<readonly Verdict[]>,
): Promise<Consumption> =>
  consume(
    bus,
    { stream: EVENTS.name, ...options },
    (deliveries) =>
      handle(
        deliveries.map((delivery) => {
          const { subject, sequence, body, attempt, stored_at } = delivery;
          const envelope = fromHeaders(delivery.header);
          return {
            subject,
            sequence,
            body,
            attempt,
            stored_at,
            envelope: "missing" in envelope ? undefined : envelope,
          };
        }),
      ),
    { deadLetter: () => undefined },
  );
