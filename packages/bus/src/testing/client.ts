import type { Logger } from "@millrace/kit";
import { type ConsumerConfig, type JsMsg, type MsgHdrs, type NatsConnection, NatsError, type StoredMsg } from "nats";
import type { Bus } from "../bus.ts";
import { createCommitter } from "../commit.ts";
import { type PublishTarget, publishSingle } from "../publish.ts";
import type { Broker, PubAck, Query } from "./broker.ts";
import type { Delivered, Durable, Pull } from "./durable.ts";
import { createFetched, type Fetched } from "./fetched.ts";
import type { Link } from "./link.ts";
import { API_ERRORS, type ApiError, type Kept, type Publication } from "./stream.ts";
import type { Process, World } from "./world.ts";

/** Told of what a process is given, and what it says about it, at the moment it says it. */
export type Watch = {
  /** A delivery reached the process. */
  arrived(of: Handed): void;
  settled(what: "ack" | "nak" | "term", of: Handed & { delay_ms?: number }): void;
};
type Handed = { durable: Durable; delivered: Delivered; by: Process };

export type ClientOptions = {
  user: string;
  process: Process;
  link: Link;
  broker: Broker;
  watch: Watch;
  /** Messages that make a batch; see `createCommitter`. */
  batchMin: number;
};

const REQUEST_TIMEOUT_MS = 5_000;

/**
 * A bus whose `nats` client is simulated: the real committer and publisher run on top of it. It has those parts of the
 * client that this package uses; one that is missing fails loudly as "not a function".
 */
export function connectSimulated(world: World, { user, process, link, broker, watch, batchMin }: ClientOptions): Bus {
  const never = () => new Promise<never>(() => {});

  /** Asks the broker: a step of the process. `serve` runs at the broker and may never answer. */
  function ask<T>(serve: (answer: (value: T) => void) => void, timeout_ms: number): Promise<T> {
    if (!world.step()) return never();
    return new Promise((resolve, reject) => {
      const timeout = world.schedule(
        timeout_ms,
        () => {
          world.count("time-out");
          reject(new NatsError("TIMEOUT", "TIMEOUT"));
        },
        process,
      );
      link.up(() =>
        serve((value) =>
          link.down(() => {
            timeout.cancel();
            resolve(value);
          }),
        ),
      );
    });
  }

  /** Tells the broker something it does not answer. */
  const tell = (serve: () => void) => {
    if (world.step()) link.up(serve);
  };

  const publish = (publication: Publication, timeout_ms = REQUEST_TIMEOUT_MS): Promise<PubAck | undefined> =>
    ask((answer) => {
      if (link.loses("lost_publish")) return;
      broker.receive(publication, (ack) => {
        if (!link.loses("lost_puback")) answer(ack);
      });
    }, timeout_ms);

  const api = async <T>(serve: () => T | ApiError, timeout_ms = REQUEST_TIMEOUT_MS): Promise<T> =>
    orThrow(await ask<T | ApiError>((answer) => answer(serve()), timeout_ms));

  const nc = {
    isClosed: () => !process.alive,
    flush: () => ask<void>((answer) => answer(), REQUEST_TIMEOUT_MS),
    async request(subject: string, data: Uint8Array, options: { headers?: MsgHdrs; timeout?: number } = {}) {
      const ack = await publish({ subject, data, headers: options.headers }, options.timeout);
      const text = ack === undefined ? "" : JSON.stringify(ack);
      return { subject, data: Buffer.from(text), string: () => text, json: () => JSON.parse(text) };
    },
    publish(subject: string, data: Uint8Array, options: { headers?: MsgHdrs } = {}) {
      tell(() => {
        if (!link.loses("lost_publish")) broker.receive({ subject, data, headers: options.headers }, () => {});
      });
    },
  };

  const js = {
    async publish(subject: string, data: Uint8Array, options: { headers?: MsgHdrs } = {}) {
      const ack = await publish({ subject, data, headers: options.headers });
      if (ack?.error) orThrow(ack.error);
      return { stream: ack?.stream ?? "", seq: ack?.seq ?? 0, duplicate: false };
    },
    consumers: {
      async get(stream: string, name: string) {
        const durable = await api<Durable>(() => broker.durable(stream, name) ?? API_ERRORS.consumerNotFound);
        return {
          info: async () => api(() => infoOf(broker.durable(stream, name))),
          delete: () => api(() => broker.deleteConsumer(stream, name)),
          fetch: (options: FetchOptions) => fetch(durable, options),
        };
      },
    },
  };

  const fetch = async (durable: Durable, options: FetchOptions): Promise<Fetched<JsMsg>> => {
    const { max_messages = 100, expires = 30_000 } = options;
    if (!world.step()) return never();
    const pull: Pull = { left: max_messages, deliver: () => {} };
    const fetched = createFetched<JsMsg>({ stopped: () => broker.durable(durable.stream, durable.name)?.drop(pull) });
    let wanted = max_messages;
    const arrive = (delivered: Delivered) => {
      world.note(`${process.name} gets ${delivered.message.subject} ${delivered.deliveries}`);
      if (delivered.deliveries > 1) world.count("delivered again");
      watch.arrived({ durable, delivered, by: process });
      fetched.push(toMessage(durable, delivered));
    };
    pull.deliver = (delivered) => {
      if (link.loses("lost_delivery")) return;
      link.down(() => {
        arrive(delivered);
        if (--wanted === 0) fetched.finish();
      });
      // A copy of its own: the client cannot know that it has it twice.
      if (link.loses("duplicated")) link.down(() => arrive(delivered));
    };
    const drop = () => broker.durable(durable.stream, durable.name)?.drop(pull);
    link.up(() => {
      broker.durable(durable.stream, durable.name)?.pull(pull);
      // The server says when the pull has expired, after whatever it gave.
      world.schedule(expires, () => {
        drop();
        link.down(() => fetched.finish());
      });
    });
    link.onClose(drop);
    const silence = () => {
      if (link.connected) fetched.finish();
      else fetched.fail(new NatsError("heartbeats missed", "HEARTBEATS_MISSED"));
    };
    world.schedule(expires * CLIENT_PATIENCE, silence, process);
    return fetched;
  };

  const toMessage = (durable: Durable, delivered: Delivered): JsMsg => {
    const { message, deliveries, delivery, pending } = delivered;
    const answer = (act: () => void) =>
      tell(() => {
        if (!link.loses("lost_ack")) act();
      });
    const settled = (what: "ack" | "nak" | "term", delay_ms?: number) => {
      if (!process.alive) return;
      world.count(what);
      world.note(
        `${process.name} ${what} ${message.subject} ${deliveries}${delay_ms === undefined ? "" : ` ${delay_ms}`}`,
      );
      watch.settled(what, { durable, delivered, by: process, ...(delay_ms === undefined ? {} : { delay_ms }) });
    };
    return {
      subject: message.subject,
      headers: message.headers,
      data: message.data,
      seq: message.sequence,
      redelivered: deliveries > 1,
      info: {
        stream: durable.stream,
        consumer: durable.name,
        deliveryCount: deliveries,
        redeliveryCount: deliveries,
        streamSequence: message.sequence,
        deliverySequence: delivery,
        timestampNanos: Math.round(BROKER_EPOCH_MS + message.at_ms) * 1e6,
        pending,
        redelivered: deliveries > 1,
      },
      ack() {
        answer(() => durable.ack(message.sequence));
        settled("ack");
      },
      nak(delay_ms?: number) {
        answer(() => durable.nak(message.sequence, delay_ms ?? 0));
        settled("nak", delay_ms);
      },
      term() {
        answer(() => durable.ack(message.sequence));
        settled("term");
      },
      working: () => answer(() => durable.working(message.sequence)),
    } as unknown as JsMsg;
  };

  const jsm = {
    consumers: {
      add: (stream: string, config: Partial<ConsumerConfig>) =>
        api(() => {
          const durable = broker.addConsumer(stream, config);
          return "err_code" in durable ? durable : infoOf(durable);
        }),
      update: (stream: string, name: string, changes: Partial<ConsumerConfig>) =>
        api(() => {
          const durable = broker.durable(stream, name);
          if (durable) durable.config = { ...durable.config, ...changes };
          return infoOf(durable);
        }),
      info: (stream: string, name: string) => api(() => infoOf(broker.durable(stream, name))),
      delete: (stream: string, name: string) => api(() => broker.deleteConsumer(stream, name)),
    },
    streams: {
      getMessage: (stream: string, query: Query) =>
        api(() => stored(broker.read(stream, query, "leader"))).then((found) => found ?? null),
      info: (name: string) =>
        api(() => {
          const stream = broker.streams.get(name);
          if (!stream) return API_ERRORS.streamNotFound;
          return { created: "2026", state: { last_seq: stream.last, messages: stream.size } };
        }),
    },
    direct: {
      getMessage: (stream: string, query: Query) => api(() => stored(broker.read(stream, query, "replica"))),
    },
  };

  const committer = createCommitter({
    nc: nc as unknown as NatsConnection,
    log: SILENT,
    single: (message, headers) => publishSingle({ nc, js, log: SILENT } as unknown as PublishTarget, message, headers),
    lastUnder: (stream, filters) => api(() => lastUnder(broker, stream, filters)),
    batchMin,
  });
  const simulated = {
    nc,
    js,
    jsm,
    user,
    log: SILENT,
    store: committer.store,
    get connected() {
      return link.connected;
    },
    onReconnect: () => ({ [Symbol.dispose]() {} }),
    async [Symbol.asyncDispose]() {},
  };
  return simulated as unknown as Bus;
}

/** The client ends a fetch by itself when the server does not. */
const CLIENT_PATIENCE = 1.05;

type FetchOptions = { max_messages?: number; expires?: number };

const BROKER_EPOCH_MS = Date.UTC(2026, 10, 21);

const silent = () => {};
const SILENT = {
  trace: silent,
  debug: silent,
  info: silent,
  warn: silent,
  error: silent,
  fatal: silent,
} as unknown as Logger;

function orThrow<T>(value: T | ApiError): T {
  if (typeof value !== "object" || value === null || !("err_code" in value)) return value as T;
  const error = new NatsError(value.description, String(value.code));
  error.api_error = value;
  throw error;
}

/** The batched direct get (ADR-31), which any replica may answer. */
function lastUnder(broker: Broker, stream: string, filters: readonly string[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const filter of filters) {
    const last = broker.read(stream, { last_by_subj: filter }, "replica");
    if (last) found.set(filter, last.sequence);
  }
  return found;
}

const infoOf = (durable: Durable | undefined) =>
  durable
    ? { name: durable.name, config: durable.config, num_pending: durable.waiting, num_ack_pending: durable.unacked }
    : API_ERRORS.consumerNotFound;

const stored = (message: Kept | undefined): StoredMsg | ApiError =>
  message
    ? ({
        subject: message.subject,
        seq: message.sequence,
        header: message.headers,
        data: message.data,
        time: new Date(BROKER_EPOCH_MS + message.at_ms),
      } as unknown as StoredMsg)
    : API_ERRORS.noMessage;
