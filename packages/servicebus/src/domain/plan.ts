import type { QueueSettings } from "./queue.ts";
import type { RuleDefinition } from "./rule.ts";

/** What entities there are to be, with all their settings. */
export interface NamespacePlan {
  readonly queues: readonly QueuePlan[];
  readonly topics: readonly TopicPlan[];
}

export interface QueuePlan {
  readonly name: string;
  readonly settings: QueueSettings;
  readonly duplicateWindowMs: number | undefined;
  readonly maxMessageBytes: number;
  readonly sendDisabled: boolean;
  readonly assignsMessageIds: boolean;
}

export interface SubscriptionPlan {
  readonly name: string;
  readonly settings: QueueSettings;
  readonly rules: readonly RuleDefinition[];
}

export interface TopicPlan {
  readonly name: string;
  readonly subscriptions: readonly SubscriptionPlan[];
  readonly duplicateWindowMs: number | undefined;
  readonly maxMessageBytes: number;
  readonly maxBytes: number;
  readonly sendDisabled: boolean;
  readonly assignsMessageIds: boolean;
}
