export { answer, ask } from "./ask.ts";
export { type Bus, type BusOptions, connectBus } from "./bus.ts";
export type { Consumption } from "./consume.ts";
export { consumeInOrder, type OrderedReader, type StreamPosition } from "./consume-in-order.ts";
export {
  type DeadLetterQuery,
  type DeadLetterSelection,
  listDeadLetters,
  type RedriveBasis,
  readDeadLetter,
  readDeadLetterPayload,
  readRedriveBasis,
  type StoredDeadLetter,
} from "./dead-letters.ts";
export { openDurability } from "./durability.ts";
export {
  consumeOutcomes,
  deliveryMade,
  followOutcomes,
  listenOutcomes,
  type OutcomeConsumerOptions,
  type OutcomeDelivery,
  readOutcome,
  type StoredOutcome,
} from "./outcomes.ts";
export { provision, readSyncAlways, recordDurability } from "./provision.ts";
export { StorageFullError, UnconfirmedError } from "./publish.ts";
export type { StoredMessage } from "./read.ts";
export { completeRedrive, decideDeadLetter, type Redriven } from "./redrive.ts";
export {
  consumeRequests,
  consumeStrays,
  type RequestDelivery,
  type RequestVerdict,
} from "./request-consumer.ts";
export { type Accepted, attemptOf, type NewRequest, publishRequest, type Redrive, readRequest } from "./requests.ts";
export { busSettings, openBus } from "./settings.ts";
export { readSettledOutcome } from "./settled-outcome.ts";
export { openTable, type Table } from "./tables.ts";
export { done, reject, retry, type Verdict } from "./verdict.ts";
