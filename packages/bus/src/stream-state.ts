import type { Bus } from "./bus.ts";

/** What a stream holds now, by its leader. */
export type StreamState = {
  name: string;
  /** RFC 3339. Tells a stream from one made anew under the same name. */
  created: string;
  messages: number;
  bytes: number;
  bytes_max: number;
  /** Of the first message that is retained; last + 1 when there is none. */
  first_sequence: number;
  last_sequence: number;
  replicas: number;
};

/** @throws NatsError when the stream is not there or no server answers in time */
export async function readStreamState(bus: Bus, name: string): Promise<StreamState> {
  const { created, state, config } = await bus.jsm.streams.info(name);
  return {
    name,
    created,
    messages: state.messages,
    bytes: state.bytes,
    bytes_max: config.max_bytes,
    first_sequence: state.first_seq,
    last_sequence: state.last_seq,
    replicas: config.num_replicas,
  };
}
