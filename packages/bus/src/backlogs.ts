import { consumerName, type Lane, REQUEST_STREAM } from "@millrace/contracts";
import { NatsError } from "nats";
import type { Bus } from "./bus.ts";

/** What the broker says of a lane's consumer. */
export type LaneBacklog = {
  /** Stored, and not delivered to any worker yet. */
  pending: number;
  /** Delivered, and not acknowledged yet. */
  underWay: number;
  /** Of those under way: delivered more than once. */
  redelivered: number;
  /** Deliveries since the consumer exists, repeated ones included. */
  delivered: number;
};

/**
 * The state of a lane's consumer; undefined while no worker has made it.
 * @throws NatsError when no server answers in time
 */
export async function readLaneBacklog(bus: Bus, lane: Lane): Promise<LaneBacklog | undefined> {
  try {
    const info = await bus.jsm.consumers.info(REQUEST_STREAM[lane.kind].name, consumerName.lane(lane));
    return {
      pending: info.num_pending,
      underWay: info.num_ack_pending,
      redelivered: info.num_redelivered,
      delivered: info.delivered.consumer_seq,
    };
  } catch (cause) {
    if (cause instanceof NatsError && cause.api_error?.code === 404) return undefined;
    throw cause;
  }
}
