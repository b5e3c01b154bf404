import { STREAMS } from "@millrace/contracts";
import type { Run } from "@millrace/local";
import { connectAsOperator } from "./operator.ts";

/** How far a durable consumer is behind its stream. */
export type ConsumerStanding = {
  stream: string;
  name: string;
  /** Messages it was not given yet. */
  pending: number;
  /** Messages it was given and has not acknowledged. */
  unacknowledged: number;
};

/** Every durable consumer of the contracts' streams, as the broker counts. */
export async function readConsumers(run: Run): Promise<ConsumerStanding[]> {
  const connection = await connectAsOperator(run);
  try {
    const manager = await connection.jetstreamManager();
    const standings: ConsumerStanding[] = [];
    for (const { name: stream } of STREAMS) {
      for await (const { config, name, num_pending, num_ack_pending } of manager.consumers.list(stream)) {
        if (config.durable_name === undefined) continue; // a reader's own, gone with it
        standings.push({ stream, name, pending: num_pending, unacknowledged: num_ack_pending });
      }
    }
    return standings;
  } finally {
    await connection.close();
  }
}
