import type { Bus } from "@millrace/bus";
import { digestOf, inboxPrefix, liveSubject, OUTCOMES } from "@millrace/contracts";

/** What the broker said of outcomes before it lost its power. */
export type Observed = {
  /** Positions whose storing was acknowledged to inference, one by one or as a batch. */
  acknowledged: ReadonlySet<number>;
  /** Digests of the outcomes that were republished to whoever listens, by position. */
  republished: ReadonlyMap<number, string>;
};

export type Observer = {
  /** What was seen since the last call. */
  take(): Observed;
};

/** A publish acknowledgement (of one message, or of an atomic batch, ADR-50) as the server writes it. */
type PubAck = { stream: string; seq: number; count?: number };

/** Listens, as the operator may, to what the server answers inference and to what it republishes. */
export function observeOutcomes(operator: Bus): Observer {
  let acknowledged = new Set<number>();
  let republished = new Map<number, string>();
  operator.nc.subscribe(`${inboxPrefix("inference")}.>`, {
    callback: (_, message) => {
      const ack = asPubAck(message.data);
      if (ack?.stream !== OUTCOMES.name) return;
      for (let back = 0; back < (ack.count ?? 1); back++) acknowledged.add(ack.seq - back);
    },
  });
  operator.nc.subscribe(liveSubject({}), {
    callback: (_, message) => {
      const sequence = Number(message.headers?.get("Nats-Sequence"));
      if (sequence > 0) republished.set(sequence, digestOf(message.data));
    },
  });
  return {
    take() {
      const observed = { acknowledged, republished };
      acknowledged = new Set();
      republished = new Map();
      return observed;
    },
  };
}

const START = '{"stream":"';

function asPubAck(bytes: Uint8Array): PubAck | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 512)).toString("utf8");
  if (!text.startsWith(START)) return undefined;
  try {
    return JSON.parse(text) as PubAck;
  } catch {
    return undefined; // longer than any acknowledgement
  }
}
