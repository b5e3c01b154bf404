import type { DuplicateHistory } from "./duplicate-history.ts";
import type { MessageQueue } from "./queue.ts";
import type { RuleSet } from "./rule-set.ts";
import type { Schedule } from "./schedule.ts";
import type { SequenceCounter } from "./sequence-counter.ts";

/** Where messages are sent: a queue is a target with one queue that takes everything. */
export interface Target {
  readonly name: string;
  maxMessageBytes: number;
  maxBytes: number;
  /** It takes no messages for now. */
  sendDisabled: boolean;
  /** A message without an id gets one. */
  readonly assignsMessageIds: boolean;
  /** When something was last sent here (epoch milliseconds), by this process. */
  usedAt: number | undefined;
  readonly history: DuplicateHistory | undefined;
  readonly schedule: Schedule;
  /** A queue with sessions refuses a message without one; a topic leaves that to its subscriptions. */
  readonly requiresSession: boolean;
  /** A queue's own; a topic needs numbers only for what is scheduled. */
  readonly numbers: SequenceCounter;
  branches: readonly Branch[];
}

/** Why nothing of what was sent is stored. */
export type Refusal = "full" | "session-missing" | "disabled";

/** A queue that gets what a target is sent: everything, or what a subscription's rules say. */
export interface Branch {
  readonly queue: MessageQueue;
  readonly rules: RuleSet | undefined;
}
