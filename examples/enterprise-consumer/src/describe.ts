import type { ServiceBusReceivedMessage } from "@azure/service-bus";

const BODY_CHARACTERS = 120;

/** A message in a few lines: its ids, its CloudEvents attributes, and the beginning of its body. */
export function describe(message: ServiceBusReceivedMessage): string {
  const properties = message.applicationProperties ?? {};
  const attributes = Object.entries(properties)
    .filter(([name]) => name.startsWith("cloudEvents:"))
    .map(([name, value]) => `  ${name.slice("cloudEvents:".length)}: ${value}`);
  return [
    `${message.subject ?? "message"} ${message.messageId} (correlation ${message.correlationId ?? "none"})`,
    ...attributes,
    `  body: ${summary(message)}`,
  ].join("\n");
}

function summary({ contentType, body }: ServiceBusReceivedMessage): string {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(String(body));
  if (!contentType?.includes("json")) return `${bytes.length} bytes of ${contentType ?? "an unknown type"}`;
  const text = bytes.toString("utf8");
  return text.length <= BODY_CHARACTERS ? text : `${text.slice(0, BODY_CHARACTERS)}… (${bytes.length} bytes)`;
}
