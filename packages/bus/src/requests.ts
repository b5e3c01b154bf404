import {
  digestOf,
  type EncodedBody,
  InferenceRequested,
  type PreviousAttempt,
  type Priority,
  REQUEST_HEADERS,
  REQUEST_STREAM,
  type RequestAddress,
  requestSubject,
  requestsOf,
} from "@millrace/contracts";
import type { Bus } from "./bus.ts";
import { addressOf, contentTypeOf } from "./outgoing.ts";
import { readLast, readLastFromLeader, type StoredMessage } from "./read.ts";

/** A request that passed validation, ready to be stored. */
export type NewRequest = RequestAddress & {
  priority: Priority;
  body: EncodedBody;
  /** Rows of its inputs. */
  rows: number;
  /** The model it was validated against: redelivery uses this stamp. */
  modelVersion: string;
  modelDigest: string;
  correlationId: string;
  principal?: string;
  traceparent?: string;
  /** RFC 3339. After this time it dies with its reason instead of running late. */
  deadline?: string;
  /** `ReplyTo` as text: where the outcome is sent as well, for a request that came from Service Bus. */
  replyTo?: string;
  /** Absent for the first attempt, which every request is until somebody redrives it. */
  redrive?: Redrive;
};

/** What makes a request the next attempt of one that died. */
export type Redrive = {
  /** From 2. */
  attempt: number;
  /** Position in OUTCOMES of the dead letter that it replaces: its outcome is compare-and-set on it. */
  answers: number;
  /** Position of the id's last request: the request is compare-and-set on it. 0 = none is retained. */
  after: number;
  /** Digest of the body under which the id was first accepted, when this one is another. */
  originalDigest?: string;
  previous: readonly PreviousAttempt[];
};

export type Accepted =
  /** `repeated`: the same request was accepted before, and this is that job. */
  | { kind: "accepted"; sequence: number; digest: string; repeated: boolean }
  /** The id stands for another body. */
  | { kind: "conflict"; digest: string; existing: string };

/**
 * Stores a request once per id: the stream refuses a second message for the id, whatever its priority, unless it is
 * the redrive of the last one. A repeat with the same body is the same job; with another body it is a conflict.
 * @throws StorageFullError, UnconfirmedError
 */
export async function publishRequest(bus: Bus, request: NewRequest): Promise<Accepted> {
  const digest = digestOf(request.body.bytes);
  const of = { kind: "tensor", ...addressOf(request) } as const;
  const subject = requestSubject({ ...of, priority: request.priority });
  const exclusive = requestsOf(of);
  const { redrive } = request;
  const stored = await bus.store({
    subject,
    exclusive,
    ...(redrive ? { expected: redrive.after } : {}),
    body: request.body.bytes,
    ...(request.body.headerLength === undefined ? {} : { headerLength: request.body.headerLength }),
    envelope: {
      id: request.id,
      type: InferenceRequested.type,
      source: `/millrace/${bus.user}`,
      subject,
      time: new Date().toISOString(),
      datacontenttype: contentTypeOf(request.body),
      correlationid: request.correlationId,
      ...(request.principal === undefined ? {} : { principal: request.principal }),
      ...(request.traceparent === undefined ? {} : { traceparent: request.traceparent }),
    },
    headers: {
      [REQUEST_HEADERS.digest]: digest,
      [REQUEST_HEADERS.rows]: String(request.rows),
      [REQUEST_HEADERS.modelVersion]: request.modelVersion,
      [REQUEST_HEADERS.modelDigest]: request.modelDigest,
      ...(request.deadline === undefined ? {} : { [REQUEST_HEADERS.deadline]: request.deadline }),
      ...(request.replyTo === undefined ? {} : { [REQUEST_HEADERS.replyTo]: request.replyTo }),
      ...(redrive ? redriveHeaders(redrive) : {}),
    },
  });
  if (stored.stored) return { kind: "accepted", sequence: stored.sequence, digest, repeated: false };
  // A replica may still show the attempt before the one that we were refused for, and our own redrive look like another's.
  const existing = await readLastFromLeader(bus, REQUEST_STREAM.tensor.name, exclusive);
  if (redrive ? isAttempt(existing, redrive.attempt, digest) : originalDigestOf(existing) === digest)
    return { kind: "accepted", sequence: existing!.sequence, digest, repeated: true };
  return { kind: "conflict", digest, existing: originalDigestOf(existing) ?? "unknown" };
}

/** What {@link publishRequest} would answer to a repeat; undefined when no request of this id is retained. Stores nothing. */
export async function acceptedBefore(bus: Bus, request: NewRequest): Promise<Accepted | undefined> {
  const existing = await readRequest(bus, request);
  if (!existing) return undefined;
  const digest = digestOf(request.body.bytes);
  if (originalDigestOf(existing) === digest)
    return { kind: "accepted", sequence: existing.sequence, digest, repeated: true };
  return { kind: "conflict", digest, existing: originalDigestOf(existing)! };
}

/** The last request of an id, or undefined when none is retained. */
export const readRequest = (bus: Bus, of: RequestAddress): Promise<StoredMessage | undefined> =>
  readLast(bus, REQUEST_STREAM.tensor.name, requestsOf({ kind: "tensor", ...addressOf(of) }));

/** Which attempt a stored request is. */
export function attemptOf(request: Pick<StoredMessage, "header">): number {
  const attempt = Number(request.header(REQUEST_HEADERS.attempt) ?? 1);
  return Number.isSafeInteger(attempt) && attempt >= 1 ? attempt : 1;
}

const redriveHeaders = (redrive: Redrive): Record<string, string> => ({
  [REQUEST_HEADERS.attempt]: String(redrive.attempt),
  [REQUEST_HEADERS.answers]: String(redrive.answers),
  [REQUEST_HEADERS.history]: JSON.stringify(redrive.previous),
  ...(redrive.originalDigest === undefined ? {} : { [REQUEST_HEADERS.originalDigest]: redrive.originalDigest }),
});

/** The digest that an idempotency key stands for: of the first body, also after a redrive with another. */
function originalDigestOf(request: StoredMessage | undefined): string | undefined {
  if (!request) return undefined;
  return (
    request.header(REQUEST_HEADERS.originalDigest) ?? request.header(REQUEST_HEADERS.digest) ?? digestOf(request.body)
  );
}

const isAttempt = (request: StoredMessage | undefined, attempt: number, digest: string): boolean =>
  request !== undefined && attemptOf(request) === attempt && request.header(REQUEST_HEADERS.digest) === digest;
