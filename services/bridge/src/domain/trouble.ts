import type { SendFailureKind } from "@millrace/azure";
import { AWAY, type Delays } from "./delays.ts";

/**
 * What follows a send that failed, by kind. Nothing that is held counts as an attempt at the message, and nothing is ever
 * acknowledged because it failed often: only what an entity will never take is given up.
 */
type Trouble = {
  delays_ms: Delays;
  /** Failures in a row that open the breaker. 1: somebody has to do something at the entity. */
  opens_after: number;
  /** Why the route is blocked, for the alert; absent where time alone heals it. */
  blocked?: "missing" | "disabled" | "full" | "unauthorized";
};

/** Whoever mends an entity waits for no longer than this. */
const ENTITY: Delays = [1_000, 2_000, 5_000, 10_000];

/** Kinds that say something of the link or the entity, and not of one message. */
export type HeldKind = Exclude<SendFailureKind, "too-large" | "refused" | "behind">;

export const TROUBLE: Readonly<Record<HeldKind, Trouble>> = {
  transient: { delays_ms: AWAY, opens_after: 3 },
  // A send that timed out has taken its time already.
  timeout: { delays_ms: AWAY, opens_after: 2 },
  // The throttle of the namespace spaces out what follows; Microsoft asks for ten seconds when it goes on.
  // https://learn.microsoft.com/azure/service-bus-messaging/service-bus-throttling
  busy: { delays_ms: [1_000, 2_000, 5_000, 10_000], opens_after: 3 },
  "not-found": { delays_ms: ENTITY, opens_after: 1, blocked: "missing" },
  disabled: { delays_ms: ENTITY, opens_after: 1, blocked: "disabled" },
  full: { delays_ms: ENTITY, opens_after: 1, blocked: "full" },
  unauthorized: { delays_ms: ENTITY, opens_after: 1, blocked: "unauthorized" },
};

/**
 * Tries of a message that its entity refuses, before it is given up with the reason: an entity that is being changed may
 * refuse for a moment what it takes after.
 */
export const REFUSALS_MAX = 3;

export const BLOCKED_REASONS = ["missing", "disabled", "full", "unauthorized"] as const;
export type BlockedReason = (typeof BLOCKED_REASONS)[number];
