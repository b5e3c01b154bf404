export { answer, ask } from "./ask.ts";
export { type LaneBacklog, readLaneBacklog } from "./backlogs.ts";
export { type Bus, type BusOptions, connectBus } from "./bus.ts";
export { connectedClients } from "./connections.ts";
export type { Consumption } from "./consume.ts";
export { consumeInOrder, type OrderedReader, type StreamPosition } from "./consume-in-order.ts";
export { type ConsumerState, listConsumers, matches, removeConsumer } from "./consumers.ts";
export {
  type DeadLetterQuery,
  type DeadLetterSelection,
  listDeadLetters,
  type RedriveBasis,
  readDeadLetter,
  readDeadLetterAt,
  readDeadLetterPayload,
  readRedriveBasis,
  type StoredDeadLetter,
} from "./dead-letters.ts";
export { deleteMessage } from "./delete.ts";
export { readLastOfEach } from "./direct-batch.ts";
export {
  type DurabilityFacts,
  DurabilityRecord,
  durabilityOf,
  measureDurability,
  openDurability,
  readSyncAlways,
  recordDurability,
} from "./durability.ts";
export { followOutcomes } from "./follow-outcomes.ts";
export { keyedBefore, publishKeyedRequest } from "./keyed-requests.ts";
export { type Lanes, openLanes } from "./lanes.ts";
export { salvageAddress } from "./outcome-message.ts";
export {
  consumeOutcomes,
  deliveryMade,
  listenOutcomes,
  type OutcomeConsumerOptions,
  type OutcomeDelivery,
  readOutcome,
  type StoredOutcome,
} from "./outcomes.ts";
export type { Outgoing } from "./outgoing.ts";
export { provision } from "./provision.ts";
export { StorageFullError, UnconfirmedError } from "./publish.ts";
export { readAt, readLastFromLeader, readNext, type StoredMessage } from "./read.ts";
export { type BucketRecord, readRecord, removeRecord, replaceRecord } from "./records.ts";
export { completeRedrive, decideDeadLetter, type Redriven } from "./redrive.ts";
export { consumeRequests, type RequestDelivery, type RequestVerdict } from "./request-consumer.ts";
export {
  type Accepted,
  attemptOf,
  type NewRequest,
  publishRequest,
  type Redrive,
  readRequest,
} from "./requests.ts";
export { REQUEUES_MAX, type Requeued, requeueRequest } from "./requeue.ts";
export { type Scanned, type ScanRange, scan } from "./scan.ts";
export { busSettings, type OpenBusOptions, openBus } from "./settings.ts";
export { readSettledOutcome } from "./settled-outcome.ts";
export { consumeStrays } from "./strays.ts";
export { readStreamState, type StreamState } from "./stream-state.ts";
export {
  answerSubmissions,
  type SubmissionAnswer,
  type SubmissionCall,
  submissionBytesMax,
  submitRequest,
} from "./submissions.ts";
export { openTable, type Table } from "./tables.ts";
export { done, reject, retry, type Verdict } from "./verdict.ts";
