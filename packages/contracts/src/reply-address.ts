import Type from "typebox";
import { Compile } from "typebox/compile";
import { TOKEN_PATTERN } from "./subjects.ts";

/**
 * Where the answer to a request goes that came from a Service Bus queue. It travels with the request and its outcome as
 * the header `millrace-reply-to`: whoever sends the reply needs to remember nothing.
 */
const Form = Type.Object(
  {
    source: Type.String({ pattern: TOKEN_PATTERN, description: "The source that took the request" }),
    entity: Type.String({ minLength: 1, maxLength: 260, description: "Queue or topic in the source's namespace" }),
    session: Type.Optional(Type.String({ maxLength: 128, description: "`replyToSessionId` of the request" })),
    message: Type.String({ maxLength: 128, description: "`MessageId` of the request: the reply's correlation id" }),
  },
  { additionalProperties: false },
);
export type ReplyTo = Type.Static<typeof Form>;

/** Longest header; every character of the longest ids may be an escape. */
export const REPLY_ADDRESS_MAX = 3_072;

/** The header. ASCII only: everything else is escaped. */
export const ReplyAddress = Type.String({
  maxLength: REPLY_ADDRESS_MAX,
  description: "JSON: where the bridge sends the outcome (`source`, `entity`, `session`, `message`)",
});

const validator = Compile(Form);

/** The header's text. */
export const formatReplyTo = ({ source, entity, session, message }: ReplyTo): string =>
  JSON.stringify({ source, entity, ...(session === undefined ? {} : { session }), message }).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** Reads the header; undefined when it is absent or not one. */
export function parseReplyTo(header: string | undefined): ReplyTo | undefined {
  if (header === undefined || header.length > REPLY_ADDRESS_MAX) return undefined;
  try {
    const value: unknown = JSON.parse(header);
    return validator.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
