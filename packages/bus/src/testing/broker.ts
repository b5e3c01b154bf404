import type { ConsumerConfig } from "nats";
import { createDurable, type Durable } from "./durable.ts";
import { type Faults, NO_FAULTS } from "./faults.ts";
import {
  API_ERRORS,
  type ApiError,
  createStream,
  expectationOf,
  type Kept,
  type Publication,
  type Stream,
} from "./stream.ts";
import type { World } from "./world.ts";

/** What the broker answers a publisher. https://docs.nats.io/reference/reference-protocols/nats_api_reference */
export type PubAck = { stream?: string; seq?: number; batch?: string; count?: number; error?: ApiError };

/**
 * A JetStream server in memory, in virtual time: streams with compare-and-set, atomic batches (ADR-50) and durable
 * consumers, as measured in docs and tests against the real one. Its weaknesses are part of it: the messages of one
 * batch do not see each other in a compare-and-set over a wildcard, and a replicated stream guards what is in flight by
 * the literal filter only.
 */
export type Broker = {
  readonly streams: ReadonlyMap<string, Stream>;
  readonly durables: ReadonlyMap<string, Durable>;
  /** What goes wrong from now on. */
  faults: Faults;
  /** Takes a message in; `answer` is called with what the publisher hears, `undefined` being an empty reply. */
  receive(publication: Publication, answer: (ack: PubAck | undefined) => void): void;
  /** Creates a durable; one of that name with other settings is an error. */
  addConsumer(stream: string, config: Partial<ConsumerConfig>): ApiError | Durable;
  deleteConsumer(stream: string, name: string): boolean;
  durable(stream: string, name: string): Durable | undefined;
  /** A message by sequence or by the last of a filter; from a replica, which may be behind, or from the leader. */
  read(stream: string, query: Query, from: "replica" | "leader"): Kept | undefined;
  /** Killed and started again: what is staged and asked for is gone, and some acks are forgotten. */
  restart(): void;
  /** Told of everything that is stored. */
  onStored(listener: (stream: Stream, message: Kept) => void): void;
};

export type Query = { seq?: number; last_by_subj?: string; next_by_subj?: string };

export type BrokerOptions = {
  streams: readonly { name: string; subjects: readonly string[] }[];
  /** Three servers: a message is stored only when a majority has it, and what is under way is guarded by filter. */
  replicated: boolean;
};

const AGREEMENT_MS_MAX = 4;
const BATCHES_OPEN_MAX = 50;

export function createBroker(world: World, options: BrokerOptions): Broker {
  const random = world.random("broker");
  const streams = new Map(options.streams.map(({ name, subjects }) => [name, createStream(name, subjects)]));
  const durables = new Map<string, Durable>();
  const staged = new Map<string, Publication[]>();
  /** Filters of compare-and-sets under way, compared as strings like the server does: hole 2 of FACTS.md. */
  const inFlight = new Set<string>();
  const listeners: ((stream: Stream, message: Kept) => void)[] = [];

  const commit = (stream: Stream, batch: readonly Publication[], answer: (ack: PubAck) => void, id?: string) => {
    const kind = id === undefined ? "single" : "batch";
    const refuse = (error: ApiError) => {
      world.count(`${kind} refused ${error.err_code}`);
      answer({ error });
    };
    if (random.chance(broker.faults.full)) return refuse(API_ERRORS.full);
    const filters = batch.flatMap((publication) => expectationOf(publication)?.filter ?? []);
    if (filters.some((filter) => inFlight.has(filter))) return refuse(API_ERRORS.inFlight);
    const refusal = stream.refusal(batch);
    if (refusal) return refuse(refusal);
    const apply = () => {
      world.count(`${kind} stored`);
      for (const filter of filters) inFlight.delete(filter);
      const kept = batch.map((publication) => stream.append(publication, world.now_ms));
      for (const message of kept) {
        world.note(`${stream.name} ${message.sequence} ${message.subject}`);
        for (const listener of listeners) listener(stream, message);
      }
      for (const durable of durables.values()) if (durable.stream === stream.name) durable.stored();
      const ack = { stream: stream.name, seq: stream.last };
      answer(id === undefined ? ack : { ...ack, batch: id, count: batch.length });
    };
    if (!options.replicated) return apply();
    for (const filter of filters) inFlight.add(filter);
    world.schedule(random.next() * AGREEMENT_MS_MAX, () => {
      if (!random.chance(broker.faults.lost_proposal)) return apply();
      world.note("a proposal is lost");
      for (const filter of filters) inFlight.delete(filter);
    });
  };

  const stage = (stream: Stream, publication: Publication, id: string, answer: (ack: PubAck | undefined) => void) => {
    const { headers } = publication;
    const position = Number(headers?.get("Nats-Batch-Sequence"));
    if (position === 1 && staged.size < BATCHES_OPEN_MAX) staged.set(id, []);
    const batch = staged.get(id);
    if (!batch || batch.length !== position - 1) {
      world.count("batch broken off");
      staged.delete(id); // a gap ends the batch
      return answer({ error: API_ERRORS.batchIncomplete });
    }
    batch.push(publication);
    if (!headers?.get("Nats-Batch-Commit")) return answer(undefined);
    staged.delete(id);
    commit(stream, batch, answer, id);
  };

  const key = (stream: string, name: string) => `${stream}/${name}`;

  const broker: Broker = {
    streams,
    durables,
    faults: NO_FAULTS,
    receive(publication, answer) {
      const stream = [...streams.values()].find((candidate) => candidate.owns(publication.subject));
      if (!stream) return answer({ error: API_ERRORS.streamNotFound });
      const id = publication.headers?.get("Nats-Batch-Id");
      if (id) stage(stream, publication, id, answer);
      else commit(stream, [publication], answer);
    },
    addConsumer(stream, config) {
      const of = streams.get(stream);
      if (!of) return API_ERRORS.streamNotFound;
      const name = config.durable_name ?? config.name ?? "";
      const existing = durables.get(key(stream, name));
      if (existing)
        return JSON.stringify(existing.config) === JSON.stringify(config) ? existing : API_ERRORS.consumerExists;
      const durable = createDurable(world, of, config);
      durables.set(key(stream, name), durable);
      return durable;
    },
    deleteConsumer: (stream, name) => durables.delete(key(stream, name)),
    durable: (stream, name) => durables.get(key(stream, name)),
    read(stream, query, from) {
      const of = streams.get(stream);
      const behind_ms = options.replicated && from === "replica" ? random.next() * broker.faults.stale_ms : 0;
      const seen_ms = world.now_ms - behind_ms;
      if (query.last_by_subj !== undefined) return of?.lastOf(query.last_by_subj, seen_ms);
      const message = query.seq === undefined ? undefined : of?.get(query.seq);
      return message && message.at_ms <= seen_ms ? message : undefined;
    },
    restart() {
      world.note("the broker restarts");
      staged.clear();
      for (const durable of durables.values()) durable.restart(() => random.chance(0.5));
    },
    onStored: (listener) => void listeners.push(listener),
  };
  return broker;
}
