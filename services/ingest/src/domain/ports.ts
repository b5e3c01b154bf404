import type {
  Accepted,
  DeadLetterQuery,
  DeadLetterSelection,
  NewRequest,
  RedriveBasis,
  Redriven,
  StoredDeadLetter,
  StoredOutcome,
} from "@millrace/bus";
import type {
  AuditAnswer,
  AuditQuestion,
  CheckReport,
  DeadLetterDecision,
  Durability,
  EncodedBody,
  ModelDeployment,
  RedriveDecision,
  RequestAddress,
  Result,
  Route,
} from "@millrace/contracts";
import type { Refusal, Wish } from "./admission/model-queue.ts";
import type { Caller, Project } from "./grants.ts";

/** What ingest needs of the world. Adapters implement these; tests may as well. */

export type { Accepted, DeadLetterQuery, NewRequest, RedriveBasis, StoredDeadLetter, StoredOutcome };

/** The request and outcome streams. */
export type Streams = {
  /** Stores a request once per id. */
  publish(request: Submitted): Promise<Accepted>;
  /** What publishing would answer to a repeat; undefined when it is none. */
  acceptedBefore(request: Submitted): Promise<Accepted | undefined>;
  /** Whether a request of this id is retained. */
  exists(of: RequestAddress): Promise<boolean>;
  /** The outcome that counts; undefined while the request, or the redrive of its dead letter, is pending. */
  outcome(of: RequestAddress): Promise<StoredOutcome | undefined>;
  /** Position of the last outcome that is stored. */
  position(): Promise<number>;
  /** Outcomes of a project in stream order, behind the position `after`, until the signal aborts. */
  follow(of: Project, options: { after: number; signal: AbortSignal }): AsyncIterable<StoredOutcome>;
  /** What an accepted request has survived. */
  readonly durability: Durability;
  /** Why no request can be taken now: the streams have no room for it and its outcome, or cannot be reached. */
  room(): Refusal | undefined;
};

/** The queues of the models: whether a further request would wait too long in its own. */
export type Admission = {
  /** Takes a place in the queue, until the request is {@link finished}; or says why there is none. */
  admit(model: string, wish: Wish): Refusal | undefined;
  /** What `admit` would say, without taking anything. */
  refusal(model: string, wish: Wish): Refusal | undefined;
  /** A request that was admitted is stored, or was not. */
  finished(model: string, wish: Wish, stored: boolean): void;
};

/** The way of a request into the streams: nothing is stored for which there is no place. */
export type Intake = {
  publish(request: Submitted): Promise<Accepted | Refused>;
  /** Why nothing of this kind is taken now, to be asked before the body is looked at. Nothing is promised. */
  refusal(model: string, wish: Wish): Refusal | undefined;
};
/** `keyed`: the client named it, so that it may be a repeat. */
export type Submitted = NewRequest & { keyed: boolean };
export type Refused = { kind: "refused"; refusal: Refusal };

/** Waits for outcomes. Begin before publishing, so that none is missed. */
export type OutcomeWaits = {
  begin(of: RequestAddress): Waiting;
};
export type Waiting = Disposable & {
  /** The outcome; undefined when the time has passed, the signal aborted, or the service stops. */
  outcome(options: { timeout_ms: number; signal?: AbortSignal }): Promise<StoredOutcome | undefined>;
  /** Looks at the stream now: for a request that may be older than the wait. */
  look(): void;
};

export type Models = {
  get(name: string): ModelDeployment | undefined;
  all(): Iterable<ModelDeployment>;
};

export type Tokens = {
  /** The caller whose token this is. */
  find(token: string): Caller | undefined;
};

export type Books = {
  /** @throws when the keeper does not answer. */
  check(): Promise<CheckReport>;
};

/** What is mirrored to Service Bus, of all projects, as far as it was put through the API. */
export type Routes = {
  all(): Iterable<Route>;
  get(name: string): Promise<Route | undefined>;
  /**
   * Puts or deletes (`next` absent) a route, by what stands there now; compare-and-set, so that it may be asked again.
   * Answers the route that was put or deleted.
   */
  change(
    name: string,
    decide: (known: Route | undefined) => Result<{ next: Route | undefined }>,
  ): Promise<Result<Route>>;
};

export type Ledger = {
  /** @throws when audit does not answer. */
  ask(question: AuditQuestion): Promise<AuditAnswer>;
};

/** Dead letters, and what is decided about them. */
export type DeadLetters = {
  /** The id's dead letter; undefined when its last outcome is none. */
  find(of: RequestAddress): Promise<StoredDeadLetter | undefined>;
  /** The id's dead letter at a position, also when a later outcome has replaced it. */
  findAt(of: RequestAddress, sequence: number): Promise<StoredDeadLetter | undefined>;
  list(
    query: DeadLetterQuery,
    options: { select: DeadLetterSelection; after: number; limit: number },
  ): Promise<{ found: StoredDeadLetter[]; next?: number }>;
  /** What died, byte for byte; undefined when it is not retained any more. */
  payload(deadLetter: StoredDeadLetter): Promise<EncodedBody | undefined>;
  /** What a redrive starts from. */
  basis(deadLetter: StoredDeadLetter): Promise<RedriveBasis>;
  /** Stores a decision unless there is one; answers the one that stands. */
  decide(
    deadLetter: StoredDeadLetter,
    decision: DeadLetterDecision,
  ): Promise<{ stands: DeadLetterDecision; repeated: boolean }>;
  /** Stores the request of a decision; any number of calls make one. */
  redrive(decision: RedriveDecision): Promise<Result<Redriven>>;
};
