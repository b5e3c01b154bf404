import {
  canonicalBytes,
  decodeOutcome,
  type Envelope,
  fromHeaders,
  InferenceCompleted,
  InferenceDeadLettered,
  type LedgerKind,
  OUTCOMES,
  type OutcomeState,
  outcomeId,
  outcomeSubject,
  toEventJson,
} from "@millrace/contracts";

/** A stored message, as far as the ledger looks at it. */
export type LedgerMessage = {
  stream: string;
  subject: string;
  sequence: number;
  body: Uint8Array;
  /** Length of the JSON part when raw tensors follow it. */
  headerLength?: number;
  stored_at: Date;
  header(name: string): string | undefined;
};

/** What an entry says of itself: an index over its canonical bytes, which alone are hashed. */
export type EntryFacts = {
  kind: LedgerKind;
  id: string;
  type: string;
  subject: string;
  tenant: string | null;
  project: string | null;
  model: string | null;
  request_id: string | null;
  state: OutcomeState | null;
  time: string;
  principal: string | null;
  correlation_id: string | null;
  request_digest: string | null;
};

/** An entry before it has a place in the chain. */
export type NewEntry = EntryFacts & {
  stream: string;
  stream_sequence: number;
  /** `time` in milliseconds since 1970; when it was stored, if `time` is no time. */
  time_ms: number;
  header_length: number | null;
  canonical: Uint8Array;
};

/**
 * Makes the entry of a message. Everything gets one: what cannot be read as the outcome or the event it should be is
 * kept byte for byte as `unreadable`.
 */
export function toEntry(message: LedgerMessage): NewEntry {
  const header_length = message.headerLength ?? null;
  const [facts, canonical] = read(message, header_length) ?? [factsOfUnreadable(message), message.body];
  const time_ms = Date.parse(facts.time);
  return {
    ...facts,
    stream: message.stream,
    stream_sequence: message.sequence,
    time_ms: Number.isNaN(time_ms) ? message.stored_at.getTime() : time_ms,
    header_length: facts.kind === "event" ? null : header_length,
    canonical,
  };
}

/** The facts and canonical bytes of a message that is what its subject says, else undefined. */
function read(message: LedgerMessage, header_length: number | null): [EntryFacts, Uint8Array] | undefined {
  const isOutcome = message.stream === OUTCOMES.name;
  const canonical = isOutcome ? message.body : eventBytes(fromHeaders(message.header), message.body);
  const facts = canonical && factsOf(isOutcome ? "outcome" : "event", canonical, header_length);
  return facts?.subject === message.subject ? [facts, canonical!] : undefined;
}

/** What canonical bytes say of themselves, or undefined when they are not of that kind. */
export const factsOf = (
  kind: LedgerKind,
  canonical: Uint8Array,
  header_length: number | null,
): EntryFacts | undefined =>
  kind === "outcome"
    ? factsOfOutcome(canonical, header_length)
    : kind === "event"
      ? factsOfEvent(canonical)
      : undefined;

function factsOfOutcome(canonical: Uint8Array, header_length: number | null): EntryFacts | undefined {
  const decoded = decodeOutcome(
    header_length === null ? { bytes: canonical } : { bytes: canonical, headerLength: header_length },
  );
  if (!decoded.ok) return undefined;
  const { id, attempt, tenant, project, model, state, completed_at, request } = decoded.value;
  return {
    kind: "outcome",
    id: outcomeId(id, attempt),
    type: state === "done" ? InferenceCompleted.type : InferenceDeadLettered.type,
    subject: outcomeSubject({ tenant, project, model: model.name, id, state }),
    tenant,
    project,
    model: model.name,
    request_id: id,
    state,
    time: completed_at,
    principal: request.principal ?? null,
    correlation_id: request.correlation_id,
    request_digest: request.digest,
  };
}

/** Canonical bytes of an event: its CloudEvents JSON format (attributes and data), in RFC 8785 form. */
function eventBytes(envelope: Envelope | { missing: string[] }, body: Uint8Array): Uint8Array | undefined {
  if ("missing" in envelope) return undefined;
  try {
    return canonicalBytes(toEventJson(envelope, body));
  } catch {
    return undefined; // strings that are no Unicode have no canonical form
  }
}

function factsOfEvent(canonical: Uint8Array): EntryFacts | undefined {
  const event = parse(canonical);
  if (!isObject(event)) return undefined;
  const { id, type, subject, time } = event;
  if (typeof id !== "string" || typeof type !== "string" || typeof subject !== "string" || typeof time !== "string")
    return undefined;
  const [, tenant, project] = subject.split(".");
  const data = isObject(event.data) ? event.data : {};
  const outcome = text(data.outcome_id);
  return {
    kind: "event",
    id,
    type,
    subject,
    tenant: tenant ?? null,
    project: project ?? null,
    model: text(data.model),
    request_id: outcome === null ? null : outcome.replace(/\.\d+$/, ""),
    state: null,
    time,
    principal: text(event.principal),
    correlation_id: text(event.correlationid),
    request_digest: null,
  };
}

function factsOfUnreadable(message: LedgerMessage): EntryFacts {
  const time = message.stored_at.toISOString();
  return {
    kind: "unreadable",
    // The time keeps it apart from another message at the same place of a stream made anew.
    id: `${message.stream}-${message.sequence}@${time}`,
    type: message.header("ce-type") ?? "",
    subject: message.subject,
    tenant: null,
    project: null,
    model: null,
    request_id: null,
    state: null,
    time,
    principal: null,
    correlation_id: message.header("ce-correlationid") ?? null,
    request_digest: null,
  };
}

const text = (value: unknown): string | null => (typeof value === "string" ? value : null);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}
