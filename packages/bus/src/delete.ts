import { NatsError } from "nats";
import type { Bus } from "./bus.ts";

/**
 * Removes one message of a stream; its bytes go when the server compacts the block. Answers false when it was gone
 * already.
 * @throws NatsError when no server confirmed in time: the message may or may not be there, and asking again is safe
 */
export async function deleteMessage(bus: Bus, stream: string, sequence: number): Promise<boolean> {
  try {
    return await bus.jsm.streams.deleteMessage(stream, sequence, false);
  } catch (cause) {
    const why = cause instanceof NatsError ? cause.api_error : undefined;
    if (why && (why.err_code === SEQUENCE_NOT_FOUND || /no message found|deleted/.test(why.description))) return false;
    throw cause;
  }
}

const SEQUENCE_NOT_FOUND = 10043;
