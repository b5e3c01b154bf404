import type { Lock, MessageFields, OfferedMessage, PropertyChanges, StoredMessage } from "../domain/message.ts";
import type { SystemProperty } from "../domain/sql-expression.ts";
import { checkValue, endOfValue } from "./encoded-values.ts";
import { tokenToUuid } from "./lock-token.ts";
import { fromSqlValue, toSqlValue } from "./property-values.ts";
import { type Typed, types } from "./rhea.ts";

/*
 * A message is a row of sections (AMQP 1.0, part 3.2). What a sender wrote in properties, application properties, body and
 * footer is kept as raw bytes, so that what a receiver reads is what was sent; only header and message annotations are
 * written anew at each delivery, and application properties when a message is dead-lettered or amended.
 */
const HEADER = 0x70;
const DELIVERY_ANNOTATIONS = 0x71;
const MESSAGE_ANNOTATIONS = 0x72;
const PROPERTIES = 0x73;
const APPLICATION_PROPERTIES = 0x74;
const DATA = 0x75;
const LISTS = new Set([0x45, 0xc0, 0xd0]);
const [MAP8, MAP32] = [0xc1, 0xd1];
const SCHEDULED_ENQUEUE_TIME = "x-opt-scheduled-enqueue-time";

interface Sections {
  header?: Buffer;
  deliveryAnnotations?: Buffer;
  messageAnnotations?: Buffer;
  properties?: Buffer;
  applicationProperties?: Buffer;
  /** Body sections and footer, as sent. */
  body: Buffer;
}

/** Descriptor code of the section at `at`; senders use the one-byte form throughout. */
function sectionCode(buffer: Buffer, at: number): number {
  if (buffer[at] !== 0x00) throw new RangeError("a message section must be a described value");
  if (buffer[at + 1] === 0x53) return buffer.readUInt8(at + 2);
  if (buffer[at + 1] === 0x80) return Number(buffer.readBigUInt64BE(at + 2));
  throw new RangeError("a message section must be described by a number");
}

function split(content: Buffer): Sections {
  const sections: Sections = { body: content.subarray(content.length) };
  let at = 0;
  while (at < content.length) {
    const code = sectionCode(content, at);
    const end = code < DATA ? checkValue(content, at) : endOfValue(content, at);
    if (end > content.length) throw new RangeError("the message ends within a section");
    const section = content.subarray(at, end);
    if (code < DATA) checkForm(section, code);
    if (code === HEADER) sections.header = section;
    else if (code === MESSAGE_ANNOTATIONS) sections.messageAnnotations = section;
    else if (code === PROPERTIES) sections.properties = section;
    else if (code === APPLICATION_PROPERTIES) sections.applicationProperties = section;
    else if (code === DELIVERY_ANNOTATIONS) sections.deliveryAnnotations = section;
    else {
      checkSections(content, at);
      sections.body = content.subarray(at);
      return sections;
    }
    at = end;
  }
  return sections;
}

/** Header and properties are lists, everything else before the body is a map. */
function checkForm(section: Buffer, code: number): void {
  const at = section[1] === 0x53 ? 3 : 10; // after the descriptor
  const form = section.readUInt8(at);
  const fits = code === HEADER || code === PROPERTIES ? LISTS.has(form) : isMapOfPairs(section, at, form);
  if (!fits) throw new RangeError("a section has not the form it must have");
}

function isMapOfPairs(section: Buffer, at: number, form: number): boolean {
  if (form === MAP8) return section.readUInt8(at + 2) % 2 === 0;
  return form === MAP32 && section.readUInt32BE(at + 5) % 2 === 0;
}

/** Everything from the first body section on must be whole sections too, or a receiver would choke on it later. */
function checkSections(content: Buffer, start: number): void {
  for (let at = start; at < content.length; ) {
    sectionCode(content, at);
    at = endOfValue(content, at);
    if (at > content.length) throw new RangeError("the message ends within a section");
  }
}

const readValue = (section: Buffer): Typed => new types.Reader(section).read();
const fieldsOf = (section: Buffer | undefined): readonly (Typed | undefined)[] =>
  section ? (readValue(section).value as Typed[]) : [];
const entriesOf = (section: Buffer | undefined): readonly Typed[] =>
  section ? (readValue(section).value as Typed[]) : [];

/** A batch (message format 0x80013700) is one message with a Data section for each message in it. */
export function unpackBatch(content: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < content.length; ) {
    const end = endOfValue(content, at);
    if (end > content.length) throw new RangeError("the batch ends within a section");
    if (sectionCode(content, at) === DATA) messages.push(readValue(content.subarray(at, end)).value as Buffer);
    at = end;
  }
  return messages;
}

/** @throws RangeError when the bytes are no AMQP message */
export function readOffered(content: Buffer): OfferedMessage {
  const sections = split(content);
  const properties = fieldsOf(sections.properties);
  const messageId = properties[0];
  const sessionId = properties[FIELDS.sessionId.at];
  const ttl = fieldsOf(sections.header)[2]?.value;
  return {
    messageId: messageId?.value == null ? undefined : textOf(messageId.value),
    ttlMs: typeof ttl === "number" ? ttl : undefined,
    sessionId: sessionId?.value == null ? undefined : textOf(sessionId.value),
    scheduledFor: scheduledTime(sections.messageAnnotations),
    content,
    fields: () => readFields(sections),
    changed: (changes) => readOffered(withProperties(sections, changes)),
  };
}

/** Where each property stands in the properties section, and how it is written. */
const FIELDS: Readonly<Record<SystemProperty, { readonly at: number; readonly wrap: (text: string) => Typed }>> = {
  messageId: { at: 0, wrap: types.wrap_string },
  to: { at: 2, wrap: types.wrap_string },
  subject: { at: 3, wrap: types.wrap_string },
  replyTo: { at: 4, wrap: types.wrap_string },
  correlationId: { at: 5, wrap: types.wrap_string },
  contentType: { at: 6, wrap: types.wrap_symbol },
  sessionId: { at: 10, wrap: types.wrap_string },
  replyToSessionId: { at: 12, wrap: types.wrap_string },
};

/** Most messages are not scheduled: looking for the name's bytes spares them the decoding. */
function scheduledTime(annotations: Buffer | undefined): number | undefined {
  if (!annotations || annotations.length < SCHEDULED_ENQUEUE_TIME.length) return undefined;
  if (!annotations.includes(SCHEDULED_ENQUEUE_TIME)) return undefined;
  for (const [name, { value }] of typedPairs(entriesOf(annotations))) {
    if (name !== SCHEDULED_ENQUEUE_TIME || !(value instanceof Date)) continue;
    const time = value.getTime();
    return Number.isFinite(time) ? time : undefined; // one that no date can hold is none
  }
  return undefined;
}

function textOf(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString("hex") : String(value);
}

function readFields(sections: Sections): MessageFields {
  const values = fieldsOf(sections.properties).map((field) => field?.value);
  const text = (name: SystemProperty) => {
    const value = values[FIELDS[name].at];
    return value == null ? undefined : textOf(value);
  };
  return {
    messageId: text("messageId"),
    to: text("to"),
    subject: text("subject"),
    replyTo: text("replyTo"),
    correlationId: text("correlationId"),
    contentType: text("contentType"),
    sessionId: text("sessionId"),
    replyToSessionId: text("replyToSessionId"),
    applicationProperties: new Map(
      [...typedPairs(entriesOf(sections.applicationProperties))].map(([name, value]) => [name, toSqlValue(value)]),
    ),
  };
}

/** The message written anew with other properties; what is not changed keeps the type it was sent with. */
function withProperties(sections: Sections, { system, user }: PropertyChanges): Buffer {
  const fields: (Typed | undefined | null)[] = [...fieldsOf(sections.properties)];
  for (const [name, value] of system) {
    const { at, wrap } = FIELDS[name];
    while (fields.length <= at) fields.push(null);
    fields[at] = value === undefined ? null : wrap(value);
  }
  const entries = new Map(typedPairs(entriesOf(sections.applicationProperties)));
  for (const [name, value] of user) {
    if (value === undefined) entries.delete(name);
    else entries.set(name, fromSqlValue(value));
  }
  return Buffer.concat([
    sections.header ?? Buffer.alloc(0),
    sections.deliveryAnnotations ?? Buffer.alloc(0),
    sections.messageAnnotations ?? Buffer.alloc(0),
    encodeSection(PROPERTIES, types.wrap_list(fields.map((field) => field ?? null))),
    encodeSection(APPLICATION_PROPERTIES, mapOf(entries)),
    sections.body,
  ]);
}

const mapOf = (entries: Iterable<readonly [string, Typed]>): Typed =>
  types.Map32([...entries].flatMap(([name, value]) => [types.wrap_string(name), value]));

/** The bytes a receiver gets: `lock` is absent when the message is peeked at or was removed by the delivery. */
export function encodeDelivery(message: StoredMessage, lock?: Lock): Buffer {
  const sections = split(message.content);
  return Buffer.concat([
    encodeHeader(sections.header, message.deliveryCount),
    encodeDeliveryAnnotations(sections.deliveryAnnotations, lock),
    encodeAnnotations(sections.messageAnnotations, message, lock),
    sections.properties ?? Buffer.alloc(0),
    encodeApplicationProperties(sections.applicationProperties, message),
    sections.body,
  ]);
}

function encodeSection(code: number, value: Typed): Buffer {
  const writer = new types.Writer();
  writer.write(types.described(types.wrap_ulong(code), value));
  return writer.toBuffer();
}

function encodeHeader(sent: Buffer | undefined, deliveryCount: number): Buffer {
  const fields = fieldsOf(sent);
  return encodeSection(
    HEADER,
    types.wrap_list([
      fields[0] ?? types.wrap_boolean(true),
      fields[1] ?? null,
      fields[2] ?? null,
      null,
      types.wrap_uint(deliveryCount),
    ]),
  );
}

/** A client that got a message through `$management` has no delivery tag to read the lock from. */
function encodeDeliveryAnnotations(sent: Buffer | undefined, lock: Lock | undefined): Buffer {
  if (!lock) return sent ?? Buffer.alloc(0);
  const token = [types.wrap_symbol("x-opt-lock-token"), types.wrap_uuid(tokenToUuid(lock.token))];
  return encodeSection(DELIVERY_ANNOTATIONS, types.Map32([...entriesOf(sent), ...token]));
}

function encodeAnnotations(sent: Buffer | undefined, message: StoredMessage, lock: Lock | undefined): Buffer {
  const items = [
    ...entriesOf(sent),
    types.wrap_symbol("x-opt-enqueued-time"),
    types.wrap_timestamp(message.enqueuedAt),
    types.wrap_symbol("x-opt-sequence-number"),
    types.wrap_long(message.sequenceNumber),
  ];
  const state = stateOf(message);
  if (state !== ACTIVE) items.push(types.wrap_symbol("x-opt-message-state"), types.wrap_int(state));
  if (lock) items.push(types.wrap_symbol("x-opt-locked-until"), types.wrap_timestamp(lock.lockedUntil));
  if (message.deadLetter) {
    items.push(types.wrap_symbol("x-opt-deadletter-source"), types.wrap_string(message.deadLetter.source));
  }
  return encodeSection(MESSAGE_ANNOTATIONS, types.Map32(items));
}

/** A message that was once scheduled is shown as such, as in Azure, also when it is received. */
function stateOf(message: StoredMessage): number {
  if (message.deferred) return DEFERRED;
  return message.scheduledFor === undefined ? ACTIVE : SCHEDULED;
}

const [ACTIVE, DEFERRED, SCHEDULED] = [0, 1, 2];

function encodeApplicationProperties(sent: Buffer | undefined, message: StoredMessage): Buffer {
  const { deadLetter, amendments } = message;
  if (!deadLetter && !amendments) return sent ?? Buffer.alloc(0);
  const changes = new Map<string, Typed>(typedPairs(amendments ? entriesOf(amendments) : []));
  if (deadLetter?.reason !== undefined) changes.set("DeadLetterReason", types.wrap_string(deadLetter.reason));
  if (deadLetter?.description !== undefined) {
    changes.set("DeadLetterErrorDescription", types.wrap_string(deadLetter.description));
  }
  return encodeSection(APPLICATION_PROPERTIES, mapOf(new Map([...typedPairs(entriesOf(sent)), ...changes])));
}

function* typedPairs(entries: readonly Typed[]): Iterable<[string, Typed]> {
  for (let at = 0; at + 1 < entries.length; at += 2) yield [String(entries[at]!.value), entries[at + 1]!];
}

/** Adds changed application properties to those of earlier settlements; kept as an application properties section. */
export function amendWith(properties: Readonly<Record<string, unknown>>): (earlier: Buffer | undefined) => Buffer {
  return (earlier) => {
    const merged = new Map(typedPairs(earlier ? entriesOf(earlier) : []));
    for (const [name, value] of Object.entries(properties)) merged.set(name, types.wrap(value));
    return encodeSection(APPLICATION_PROPERTIES, mapOf(merged));
  };
}
