import { SERVICE_NAMES, type ServiceName } from "../permissions.ts";
import { iso8601 } from "./iso8601.ts";
import { AZURE_ROLES, type AzureRole, type AzureScope, holdersOf } from "./roles.ts";
import { isDestination, type WantedEntity, type WantedSubscription } from "./wanted.ts";

/**
 * What deploy/bicep reads with `loadJsonContent`: the entities of a routes file, and who may send and receive there. Its
 * names are those of Azure's resource manager; what the routes file does not say is absent, and stays as Azure has it.
 */
export type BicepEntities = { topics: BicepTopic[]; queues: BicepQueue[] };

type BicepEntity = {
  name: string;
  /** ISO 8601; absent: duplicate detection is off, for an entity to which no route sends. */
  duplicateDetectionWindow?: string;
  maxSizeInMegabytes?: number;
  /** Services that get *Azure Service Bus Data Sender* here. */
  senders: ServiceName[];
};
type BicepReceiver = {
  name: string;
  requiresSession: boolean;
  lockDuration?: string;
  maxDeliveryCount?: number;
  /** Services that get *Azure Service Bus Data Receiver* here. */
  receivers: ServiceName[];
};
type BicepTopic = BicepEntity & { subscriptions: BicepSubscription[] };
type BicepQueue = BicepEntity & BicepReceiver;
/** Without rules it takes everything. */
type BicepSubscription = BicepReceiver & { rules: { name: string; sql: string }[] };

export function bicepEntities(wanted: readonly WantedEntity[]): BicepEntities {
  const of = (kind: WantedEntity["kind"]) => wanted.filter((entity) => entity.kind === kind);
  return {
    topics: of("topic").map((topic) => ({
      ...entityOf(topic),
      subscriptions: topic.subscriptions.map(subscriptionOf),
    })),
    queues: of("queue").map((queue) => ({ ...entityOf(queue), ...receiverOf(queue) })),
  };
}

function entityOf(entity: WantedEntity): BicepEntity {
  const { duplicate_detection_s: window_s, size_max_mb } = entity.settings;
  return {
    name: entity.name,
    ...(window_s !== undefined && { duplicateDetectionWindow: iso8601(window_s) }),
    ...(size_max_mb !== undefined && { maxSizeInMegabytes: size_max_mb }),
    senders: isDestination(entity) ? holdersOf("Azure Service Bus Data Sender", "destinations") : [],
  };
}

function receiverOf({ name, settings, isSource }: WantedEntity | WantedSubscription): BicepReceiver {
  const { sessions = false, lock_s, deliveries_max } = settings;
  return {
    name,
    requiresSession: sessions,
    ...(lock_s !== undefined && { lockDuration: iso8601(lock_s) }),
    ...(deliveries_max !== undefined && { maxDeliveryCount: deliveries_max }),
    receivers: isSource ? holdersOf("Azure Service Bus Data Receiver", "sources") : [],
  };
}

const subscriptionOf = (subscription: WantedSubscription): BicepSubscription => ({
  ...receiverOf(subscription),
  rules: subscription.rules ?? [],
});

/** What deploy/bicep knows of identities: each service has one, and these get a role on what a deployment names. */
export type BicepIdentities = {
  services: ServiceName[];
  roles: Record<AzureRole, string>;
  largeResultsWriters: ServiceName[];
  secretReaders: ServiceName[];
};

export const bicepIdentities = (): BicepIdentities => ({
  services: [...SERVICE_NAMES],
  roles: AZURE_ROLES,
  largeResultsWriters: holdersOf("Storage Blob Data Contributor", "large results" satisfies AzureScope),
  secretReaders: holdersOf("Key Vault Secrets User", "named secrets" satisfies AzureScope),
});
