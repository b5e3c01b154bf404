export { freePort, openLink } from "@millrace/local";
export { doneRecord, storeOutcome } from "./builders.ts";
export { type Answer, createClient, type HttpClient, type Submit } from "./client.ts";
export type { ClusterRemote } from "./cluster-remote.ts";
export { type ConsumerStanding, readConsumers } from "./consumers.ts";
export { eventually } from "./eventually.ts";
export {
  type HandMade,
  type HandMadeOptions,
  handMadeRequests,
  MALFORMED_KINDS,
  publishHandMade,
} from "./malformed.ts";
export { type MillraceOptions, startMillrace, type TestMillrace } from "./millrace.ts";
export { natsCluster } from "./nats-cluster.ts";
export { natsServer } from "./nats-server.ts";
export { connectAsOperator, publishByHand } from "./operator.ts";
export { readOutcomes, type StoredOutcome } from "./outcomes.ts";
export { type Random, seededRandom } from "./random.ts";
export { type SubmitAllOptions, submitAll, submitUntilAccepted } from "./submit-all.ts";
export type { ReceivedMessage, TopicFollower } from "./topic.ts";
