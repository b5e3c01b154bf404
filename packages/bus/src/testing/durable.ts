import type { ConsumerConfig } from "nats";
import type { Kept, Stream } from "./stream.ts";
import { matches } from "./subject-match.ts";
import type { Scheduled, World } from "./world.ts";

/** One delivery of a kept message by a durable consumer. */
export type Delivered = { message: Kept; deliveries: number; delivery: number; pending: number };

/** A client's request for messages. */
export type Pull = {
  left: number;
  deliver: (delivered: Delivered) => void;
};

/**
 * A durable pull consumer with explicit acks. What is delivered and not acknowledged is delivered again after the ack
 * wait, or after the delay of a nak; meanwhile it counts against `max_ack_pending`. An answer to an earlier delivery of
 * a message counts like one to the last.
 */
export type Durable = {
  readonly stream: string;
  readonly name: string;
  config: Partial<ConsumerConfig>;
  pull(pull: Pull): void;
  drop(pull: Pull): void;
  /** Something was stored. */
  stored(): void;
  ack(sequence: number): void;
  nak(sequence: number, delay_ms: number): void;
  working(sequence: number): void;
  /** Forgets acks, as a server does that was killed before it wrote them down, and all pulls. */
  restart(forget: (sequence: number) => boolean): void;
  /** Not delivered yet. */
  readonly waiting: number;
  /** Delivered and not acknowledged. */
  readonly unacked: number;
  /** Sequences of both. */
  open(): readonly number[];
};

/** Acks that a killed server may have to learn again. */
const RECENT_ACKS = 16;

export function createDurable(world: World, stream: Stream, initial: Partial<ConsumerConfig>): Durable {
  /** When what is out comes again, by sequence. */
  const out = new Map<number, number>();
  const times = new Map<number, number>();
  const recent: number[] = [];
  const pulls = new Set<Pull>();
  let due: number[] = [];
  let next = initial.deliver_policy === "new" ? stream.last + 1 : 1;
  let delivery = 0;
  let alarm: { at: number; event: Scheduled } | undefined;
  let config = initial;

  const wants = (message: Kept) => {
    const filters = config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []);
    return filters.length === 0 || filters.some((filter) => matches(filter, message.subject));
  };
  const ackWait_ms = () => (config.ack_wait ?? 30e9) / 1e6;

  /** What is delivered again goes first, as in the server. */
  const take = (): Kept | undefined => {
    while (due.length > 0) {
      const again = stream.get(due.shift()!);
      if (again && out.has(again.sequence)) return again;
    }
    // What is due again is among what is out, and counts.
    if (out.size >= (config.max_ack_pending ?? 1_000)) return undefined;
    while (next <= stream.last) {
      const fresh = stream.get(next++);
      if (fresh && wants(fresh)) return fresh;
    }
    return undefined;
  };

  const serve = () => {
    for (const pull of pulls) {
      while (pull.left > 0) {
        const message = take();
        if (!message) return arm();
        const deliveries = (times.get(message.sequence) ?? 0) + 1;
        times.set(message.sequence, deliveries);
        out.set(message.sequence, world.now_ms + ackWait_ms());
        pull.left--;
        pull.deliver({ message, deliveries, delivery: ++delivery, pending: waiting() });
      }
      pulls.delete(pull);
    }
    arm();
  };

  const arm = () => {
    let soonest = Number.POSITIVE_INFINITY;
    for (const [sequence, at] of out) if (at < soonest && !due.includes(sequence)) soonest = at;
    if (alarm && alarm.at <= soonest) return;
    alarm?.event.cancel();
    alarm = undefined;
    if (soonest === Number.POSITIVE_INFINITY) return;
    const ring = () => {
      alarm = undefined;
      for (const [sequence, at] of out) if (at <= world.now_ms && !due.includes(sequence)) due.push(sequence);
      serve();
    };
    alarm = { at: soonest, event: world.schedule(soonest - world.now_ms, ring) };
  };

  const waiting = () => {
    let count = 0;
    for (let sequence = next; sequence <= stream.last; sequence++) {
      const message = stream.get(sequence);
      if (message && wants(message)) count++;
    }
    return count;
  };

  return {
    stream: stream.name,
    name: initial.durable_name ?? initial.name ?? "",
    get config() {
      return config;
    },
    set config(changed) {
      config = changed;
      serve();
    },
    pull(pull) {
      pulls.add(pull);
      serve();
    },
    drop: (pull) => void pulls.delete(pull),
    stored: serve,
    ack(sequence) {
      if (!out.delete(sequence)) return;
      due = due.filter((other) => other !== sequence);
      recent.push(sequence);
      if (recent.length > RECENT_ACKS) recent.shift();
      serve();
    },
    nak(sequence, delay_ms) {
      if (!out.has(sequence) || due.includes(sequence)) return;
      out.set(sequence, world.now_ms + delay_ms);
      if (delay_ms <= 0) due.push(sequence);
      serve();
    },
    working(sequence) {
      if (out.has(sequence) && !due.includes(sequence)) out.set(sequence, world.now_ms + ackWait_ms());
    },
    restart(forget) {
      pulls.clear();
      for (const sequence of recent.splice(0)) if (forget(sequence)) out.set(sequence, world.now_ms + ackWait_ms());
      arm();
    },
    get waiting() {
      return waiting();
    },
    get unacked() {
      return out.size;
    },
    open() {
      const sequences = [...out.keys()];
      for (let sequence = next; sequence <= stream.last; sequence++) {
        const message = stream.get(sequence);
        if (message && wants(message)) sequences.push(sequence);
      }
      return sequences;
    },
  };
}
