import type { OfferedMessage } from "../domain/message.ts";
import type { Namespace } from "../domain/namespace.ts";
import type { Target } from "../domain/target.ts";
import { type Body, failure, listOf, longOf, longs, type Operation, ok, onTarget } from "./management-operation.ts";
import { refusalOf } from "./refusals.ts";
import type { NodeResponse } from "./request-node.ts";
import { readOffered } from "./sections.ts";

/** Sending for later, and taking that back. */
export const SCHEDULE_REQUESTS: Readonly<Record<string, Operation>> = {
  "com.microsoft:schedule-message": onTarget(scheduleMessage),
  "com.microsoft:cancel-scheduled-message": onTarget(cancelScheduledMessage),
};

function scheduleMessage(namespace: Namespace, target: Target, body: Body): NodeResponse {
  const contents = listOf(body.messages).map((entry) => (entry as Body | null)?.message);
  if (contents.length === 0 || !contents.every(Buffer.isBuffer)) {
    return failure(400, "amqp:invalid-field", "Expected messages, each a map with the encoded message.");
  }
  if (contents.some(({ length }) => length > target.maxMessageBytes)) {
    const description = `${target.name} takes messages of at most ${target.maxMessageBytes} bytes.`;
    return failure(403, "amqp:link:message-size-exceeded", description);
  }
  let offered: OfferedMessage[];
  try {
    offered = contents.map(readOffered);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    return failure(400, "amqp:decode-error", `Not an AMQP message: ${error.message}.`);
  }
  const numbers = namespace.routing.schedule(target, offered);
  if (typeof numbers !== "string") return ok({ "sequence-numbers": longs(numbers) });
  const { condition, description } = refusalOf(numbers, target);
  return failure(numbers === "full" ? 403 : 400, condition, description);
}

function cancelScheduledMessage(_namespace: Namespace, target: Target, body: Body): NodeResponse {
  const numbers = listOf(body["sequence-numbers"]).map(longOf);
  if (target.schedule.cancel(numbers)) return ok({});
  const description = `Not all of the messages ${numbers.join(", ")} are scheduled in ${target.name}; none was cancelled.`;
  return failure(404, "com.microsoft:message-not-found", description);
}
