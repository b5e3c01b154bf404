/**
 * The envelope: CloudEvents 1.0 in binary content mode, context attributes as NATS headers `ce-…` (NATS protocol
 * binding), the same attributes as `cloudEvents:…` application properties on Service Bus (AMQP protocol binding).
 * https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents
 */

export type Envelope = {
  id: string;
  /** `millrace.<event>.v<major>`: the version of the payload is part of the type. */
  type: string;
  /** URI-reference of the process kind that made it: `/millrace/<service>`. */
  source: string;
  /** The NATS subject the message was published to. */
  subject: string;
  /** RFC 3339, UTC. */
  time: string;
  datacontenttype: string;
  /** Extension: follows the request through to the Service Bus message. */
  correlationid: string;
  /** Extension: opaque id of who asked. */
  principal?: string;
  /** W3C Trace Context. https://www.w3.org/TR/trace-context/ */
  traceparent?: string;
};

export const CLOUDEVENTS_VERSION = "1.0";

/** Header names that do not carry the `ce-` prefix. */
const PLAIN = { datacontenttype: "content-type", traceparent: "traceparent" } as const;

const headerName = (attribute: string): string =>
  attribute in PLAIN ? PLAIN[attribute as keyof typeof PLAIN] : `ce-${attribute}`;

const REQUIRED = ["id", "type", "source", "subject", "time", "datacontenttype", "correlationid"] as const;
const OPTIONAL = ["principal", "traceparent"] as const;
/** Every message passes here several times: names are put together once. */
const HEADERS = [...REQUIRED, ...OPTIONAL].map((attribute) => ({ attribute, header: headerName(attribute) }));

/** Context attributes by NATS header name. */
export function toHeaders(envelope: Envelope): Record<string, string> {
  const headers: Record<string, string> = { "ce-specversion": CLOUDEVENTS_VERSION };
  for (const { attribute, header } of HEADERS) {
    const value = envelope[attribute];
    if (value !== undefined) headers[header] = value;
  }
  return headers;
}

/** The envelope of a message, or the names of the headers it lacks. `get` answers undefined or "" for an absent one. */
export function fromHeaders(get: (name: string) => string | undefined): Envelope | { missing: string[] } {
  const found: Partial<Record<string, string>> = {};
  for (const { attribute, header } of HEADERS) {
    const value = get(header);
    if (value) found[attribute] = value;
  }
  const missing = REQUIRED.filter((name) => !found[name]).map(headerName);
  return missing.length > 0 ? { missing } : (found as Envelope);
}

/** Context attributes as AMQP application properties (`cloudEvents:` prefix; `cloudEvents_` where `:` is not allowed). */
export function toAmqpProperties(envelope: Envelope): Record<string, string> {
  const properties: Record<string, string> = { "cloudEvents:specversion": CLOUDEVENTS_VERSION };
  for (const [name, value] of Object.entries(envelope)) {
    if (value === undefined || name === "datacontenttype") continue; // the AMQP content-type property carries it
    properties[name === "traceparent" ? name : `cloudEvents:${name}`] = value;
  }
  return properties;
}

/**
 * A whole event as one JSON value: attributes and data in the CloudEvents JSON event format. Data that is not JSON
 * stands as `data_base64`. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */
export function toEventJson(envelope: Envelope, body: Uint8Array): Record<string, unknown> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const event = { specversion: CLOUDEVENTS_VERSION, ...envelope };
  if (/[/+]json\b/.test(envelope.datacontenttype))
    try {
      return { ...event, data: JSON.parse(bytes.toString("utf8")) };
    } catch {
      // Said to be JSON and is not: kept as bytes.
    }
  return { ...event, data_base64: bytes.toString("base64") };
}

/**
 * Headers of a request beside the envelope. The model version and digest are stamped at acceptance, so that a
 * redelivery, or a delivery after a deploy, runs on the model that the request was accepted for.
 */
export const REQUEST_HEADERS = {
  /** `sha256:<hex>` of the body. */
  digest: "millrace-digest",
  modelVersion: "millrace-model-version",
  modelDigest: "millrace-model-digest",
  rows: "millrace-rows",
  /** Which attempt this is; absent = 1. A redrive makes the next. */
  attempt: "millrace-attempt",
  /** Position in OUTCOMES of the dead letter that this attempt replaces: its outcome is compare-and-set on it. */
  answers: "millrace-answers",
  /** Digest of the body under which the id was first accepted, when a redrive edited it. */
  originalDigest: "millrace-original-digest",
  /** JSON: the attempts before this one, as the outcome states them (`previous`). */
  history: "millrace-history",
  /** RFC 3339: after this time the request dies with its reason instead of running late. */
  deadline: "millrace-deadline",
  /** Where the request stood before the keeper put it into its queue again. */
  requeuedFrom: "millrace-requeued-from",
  /** How often that was done. */
  requeues: "millrace-requeues",
  /** JSON (`ReplyTo`): where the bridge sends the outcome, for a request that came from Service Bus and wants a reply. */
  replyTo: "millrace-reply-to",
} as const;

/** Headers of an outcome beside the envelope. */
export const OUTCOME_HEADERS = {
  /** `<stream>:<sequence>` of the request that it answers; the same is in its body. */
  request: "millrace-request",
  /** As on the request. */
  replyTo: REQUEST_HEADERS.replyTo,
} as const;
