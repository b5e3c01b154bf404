import type { Refusal, Target } from "../domain/namespace.ts";
import type { AmqpError } from "./rhea.ts";

/** Why a message was not taken, in the conditions the SDKs know. */
export function refusalOf(refusal: Refusal, { name }: Target): AmqpError {
  switch (refusal) {
    case "full":
      return {
        condition: "amqp:resource-limit-exceeded",
        description: `${name} is full; receive messages or raise MaxSizeInMegabytes.`,
      };
    case "session-missing":
      return {
        condition: "amqp:not-allowed",
        description: `The SessionId was not set on a message, and it cannot be sent to ${name}, which requires sessions.`,
      };
  }
}

/** In Azure's words, which the SDKs recognise as "entity not found"; the condition alone they take for a network problem. */
export const notFound = (path: string) => `The messaging entity '${path}' could not be found.`;
