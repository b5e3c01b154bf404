import {
  type Bus,
  followOutcomes,
  keyedBefore,
  openDurability,
  publishKeyedRequest,
  publishRequest,
  readRequest,
  readSettledOutcome,
  StorageFullError,
  UnconfirmedError,
} from "@millrace/bus";
import { EVENTS, OUTCOMES, type Problem, REQUESTS_TENSOR } from "@millrace/contracts";
import { type Fill, Room } from "../domain/admission/room.ts";
import type { Streams } from "../domain/ports.ts";

const ROOM_LOOK_MS = 1_000;
/** A restart of the broker is waited out; after this many looks without it, new requests are refused at once. */
const OUTAGE_LOOKS = 3;
const OUTAGE: Problem = { code: "unavailable", detail: "the broker cannot be reached; nothing was stored" };
const WATCHED = [REQUESTS_TENSOR.name, OUTCOMES.name, EVENTS.name];

/** The request and outcome streams of a broker. */
export async function openStreams(bus: Bus): Promise<Streams & Disposable> {
  const durability = await openDurability(bus);
  const room = new Room();
  let looking = false;
  let disconnected_looks = 0;

  const look = async () => {
    const fills: Fill[] = [];
    for (const stream of WATCHED) {
      const { state, config } = await bus.jsm.streams.info(stream);
      fills.push({ stream, bytes: state.bytes, max_bytes: config.max_bytes });
    }
    room.look(performance.now() / 1_000, fills);
  };
  const timer = setInterval(() => {
    disconnected_looks = bus.connected ? 0 : disconnected_looks + 1;
    if (looking || !bus.connected) return;
    looking = true;
    look()
      .catch((err: unknown) => bus.log.debug({ err }, "the streams' room could not be looked up"))
      .finally(() => {
        looking = false;
      });
  }, ROOM_LOOK_MS);
  timer.unref();

  return {
    publish: (request) => (request.keyed ? publishKeyedRequest : publishRequest)(bus, request),
    acceptedBefore: (request) => keyedBefore(bus, request),
    exists: async (of) => (await readRequest(bus, of)) !== undefined,
    outcome: (of) => readSettledOutcome(bus, of),
    position: async () => (await bus.jsm.streams.info(OUTCOMES.name)).state.last_seq,
    follow: (of, options) => followOutcomes(bus, of, options),
    get durability() {
      return durability.level;
    },
    room: () => (disconnected_looks > OUTAGE_LOOKS ? OUTAGE : room.refusal),
    [Symbol.dispose]() {
      clearInterval(timer);
      durability[Symbol.dispose]();
    },
  };
}

/** What a client is told when the broker fails; undefined for an error that is not the broker's. */
export function brokerProblem(error: unknown): Problem | undefined {
  if (error instanceof StorageFullError) return { code: "storage-full", detail: "the stream takes no more for now" };
  if (error instanceof UnconfirmedError)
    return { code: "unavailable", detail: "the broker did not confirm in time; the request may or may not be stored" };
  // The client library's own error class is not for us to import; its name is part of its contract.
  if (error instanceof Error && error.name === "NatsError")
    return { code: "unavailable", detail: "the broker did not answer in time" };
  return undefined;
}
