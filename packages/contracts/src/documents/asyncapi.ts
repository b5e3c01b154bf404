import { REQUEST_HEADERS } from "../envelope.ts";
import { MESSAGES, type Message } from "../messages.ts";
import { HEADER_LENGTH } from "../oip.ts";
import { OUTCOMES, STREAMS, type StreamDeclaration } from "../streams.ts";
import { PRIORITIES, TOKEN_PATTERN } from "../subjects.ts";
import { callParts } from "./asyncapi-calls.ts";
import { componentsOf, type Json } from "./components.ts";

/** The AsyncAPI 3.0 document of the messages (https://www.asyncapi.com/docs/reference/specification/v3.0.0). */
export function asyncapiDocument(): Json {
  const { reference, all } = componentsOf("#/components/schemas/");
  const calls = callParts(reference);
  const channels = [...Map.groupBy<string, Message>(MESSAGES, ({ address }) => address)].map(channelOf);
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Millrace messages",
      version: "1",
      description:
        "What crosses between services: CloudEvents 1.0 in binary content mode on NATS JetStream. Every message is stored in the stream named by its channel and consumed with explicit acknowledgement; a call has no stream, and an answer at most once.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    defaultContentType: "application/json",
    servers: {
      nats: { host: "127.0.0.1:4222", protocol: "nats", description: "JetStream; every process is a user of its own" },
    },
    channels: { ...Object.fromEntries(channels.map(({ id, channel }) => [id, channel])), ...calls.channels },
    operations: {
      ...Object.fromEntries(channels.flatMap(({ id, messages }) => messages.flatMap((m) => operationsOf(id, m)))),
      ...calls.operations,
    },
    components: {
      messages: {
        ...Object.fromEntries(MESSAGES.map((message) => [message.name, messageObject(message, reference)])),
        ...calls.messages,
      },
      schemas: all(),
    },
  };
}

function channelOf([address, messages]: [string, Message[]]) {
  const [first] = messages;
  const stream: StreamDeclaration = STREAMS.find(({ name }) => name === first!.stream)!;
  const parameters = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const live = stream.name === OUTCOMES.name ? " Republished once stored, at most once, under `live.…`." : "";
  return {
    id: channelId(messages),
    messages,
    channel: {
      address,
      description: `Stored in ${stream.name} (${[...stream.subjects].join(", ")}): ${stream.description}.${live}`,
      parameters: Object.fromEntries(parameters.map((name) => [name, PARAMETERS[name] ?? TOKEN])),
      messages: Object.fromEntries(messages.map(({ name }) => [name, { $ref: `#/components/messages/${name}` }])),
    },
  };
}

/** Messages of one address share a channel, named for what their names have in common. */
const channelId = (messages: readonly Message[]): string =>
  messages.length === 1 ? messages[0]!.name : messages[0]!.name.split(".")[0]!;

function operationsOf(channel: string, message: Message): [string, Json][] {
  const operation = (service: string, action: "send" | "receive"): [string, Json] => [
    `${service}.${action}.${message.name}`,
    {
      action,
      title: `${service} ${action}s ${message.name}`,
      channel: { $ref: `#/channels/${channel}` },
      messages: [{ $ref: `#/channels/${channel}/messages/${message.name}` }],
      tags: [{ name: service }],
    },
  ];
  const senders = message.from.split(",").map((service) => service.trim());
  return [
    ...senders.map((service) => operation(service, "send")),
    ...message.to.map((service) => operation(service, "receive")),
  ];
}

const messageObject = (message: Message, reference: (schema: unknown) => Json): Json => ({
  name: message.type,
  title: message.name,
  summary: message.description,
  contentType: "application/json",
  headers: CLOUDEVENT_HEADERS,
  payload: { schemaFormat: "application/schema+json;version=draft-07", schema: reference(message.schema) },
  tags: [{ name: message.stream }],
});

const TOKEN = { description: `One subject token: ${TOKEN_PATTERN}` };
const PARAMETERS: Readonly<Record<string, Json>> = {
  priority: { description: "Workers take higher ones first", enum: [...PRIORITIES] },
  id: { description: `Id of the request: ${TOKEN_PATTERN}` },
  attempt: { description: "Attempt of the request, from 1" },
  entity: { description: "The entity's path in lower case, as the first 32 hexadecimal digits of its SHA-256" },
  destination: { description: "Name of the rule or route" },
};

const text = (description: string) => ({ type: "string", description });

/** CloudEvents 1.0 context attributes as NATS headers (NATS protocol binding, binary mode), and our own. */
const CLOUDEVENT_HEADERS = {
  type: "object",
  required: ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "content-type"],
  properties: {
    "ce-specversion": { type: "string", const: "1.0" },
    "ce-id": text("Id of the request, outcome or effect"),
    "ce-type": text("`millrace.<event>.v<major>`"),
    "ce-source": text("`/millrace/<service>`"),
    "ce-subject": text("The subject it was published to"),
    "ce-time": text("RFC 3339, UTC"),
    "ce-correlationid": text("Follows the request through to every receiver"),
    "ce-principal": text("Opaque id of who asked"),
    "content-type": text("`application/json`, or `application/octet-stream` when binary tensors follow the JSON"),
    traceparent: text("W3C Trace Context"),
    [HEADER_LENGTH]: text("Length in bytes of the JSON part; present exactly when binary tensors follow it"),
    [REQUEST_HEADERS.digest]: text("On requests: `sha256:<hex>` of the body"),
    [REQUEST_HEADERS.rows]: text("On requests: rows of its inputs"),
    [REQUEST_HEADERS.modelVersion]: text("On requests: the version it was validated against"),
    [REQUEST_HEADERS.modelDigest]: text("On requests: the digest of that version"),
    [REQUEST_HEADERS.replyTo]: text("On requests from Service Bus and their outcomes: JSON, where the reply goes"),
  },
};
