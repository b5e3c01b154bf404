/** What goes wrong, and how often. Probabilities are per message; zero everywhere is a good day. */
export type Faults = {
  /** Longest way between a process and the broker. */
  latency_ms: number;
  /** A publish never arrives; the publisher sees a time-out. */
  lost_publish: number;
  /** A publish is stored; the publisher sees a time-out. */
  lost_puback: number;
  /** An ack, nak or `working()` never arrives. */
  lost_ack: number;
  /** A delivery never arrives, and comes back after the ack wait. */
  lost_delivery: number;
  /** A delivery arrives twice. */
  duplicated: number;
  /** Deliveries and answers overtake each other. */
  reordered: number;
  /** A publish is refused because the stream is full. */
  full: number;
  /** The leader of a replicated stream is gone before a proposal was agreed on; nobody is told. */
  lost_proposal: number;
  /** How far a replica that answers direct gets may be behind. */
  stale_ms: number;
};

/** Trouble ends after this time, so that what is promised "in the end" has one. */
export const TROUBLE_MS = 40_000;

export const NO_FAULTS: Faults = {
  latency_ms: 2,
  lost_publish: 0,
  lost_puback: 0,
  lost_ack: 0,
  lost_delivery: 0,
  duplicated: 0,
  reordered: 0,
  full: 0,
  lost_proposal: 0,
  stale_ms: 0,
};
