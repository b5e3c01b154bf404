import type { MessageQueue } from "../domain/queue.ts";
import type { Refusal, Target } from "../domain/target.ts";
import type { AmqpError, Link } from "./rhea.ts";

/** Why a message was not taken, in the conditions the SDKs know. */
export function refusalOf(refusal: Refusal, { name }: Target): AmqpError {
  switch (refusal) {
    case "full":
      return {
        condition: "amqp:resource-limit-exceeded",
        description: `${name} is full; receive messages or raise MaxSizeInMegabytes.`,
      };
    case "disabled":
      return disabled(name);
    case "session-missing":
      return {
        condition: "amqp:not-allowed",
        description: `The SessionId was not set on a message, and it cannot be sent to ${name}, which requires sessions.`,
      };
  }
}

/** Its `Status` says so; enabled again, it goes on as if nothing had been. */
export const disabled = (path: string): AmqpError => ({
  condition: "com.microsoft:entity-disabled",
  description: `Messaging entity '${path}' is currently disabled.`,
});

/** Why a queue, subscription or dead-letter queue has no receivers any more. */
export const whyLost = ({ retired, name }: MessageQueue): AmqpError =>
  retired ? { condition: "amqp:not-found", description: notFound(name) } : disabled(name);

/** In Azure's words. */
export const BUSY: AmqpError = {
  condition: "com.microsoft:server-busy",
  description:
    "The request was terminated because the entity is being throttled. Error code : 50009. Please wait 2 seconds and try again.",
};

/** What Azure says when it moves an entity elsewhere: attach again. */
export const DROPPED: AmqpError = {
  condition: "amqp:link:detach-forced",
  description: "The link is detached by the broker; attach again.",
};

/** An attach is always answered; one without a terminus, followed by a detach, is a refusal (AMQP 1.0, 2.6.3). */
export function refuse(link: Link, { condition, description }: AmqpError): void {
  link.on_flow = () => {};
  link.close({ condition, description });
}

/** In Azure's words, which the SDKs recognise as "entity not found"; the condition alone they take for a network problem. */
export const notFound = (path: string) => `The messaging entity '${path}' could not be found.`;

/** In Azure's words, as clients print them. */
export const LOCK_LOST =
  "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.";
