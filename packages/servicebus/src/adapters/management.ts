import type { Namespace } from "../domain/namespace.ts";
import { type Body, failure, type Operation } from "./management-operation.ts";
import { MESSAGE_REQUESTS } from "./message-requests.ts";
import type { AnswerRequest, NodeResponse } from "./request-node.ts";
import type { DecodedMessage } from "./rhea.ts";
import { RULE_REQUESTS } from "./rule-requests.ts";
import { SCHEDULE_REQUESTS } from "./schedule-requests.ts";
import { SESSION_REQUESTS } from "./session-requests.ts";

const OPERATIONS: Readonly<Record<string, Operation>> = {
  ...MESSAGE_REQUESTS,
  ...SCHEDULE_REQUESTS,
  ...RULE_REQUESTS,
  ...SESSION_REQUESTS,
};

/**
 * The `$management` node of one entity (Azure's "AMQP request/response operations").
 * @param stops why an operation that needs a right is not done, if so, at the time of the request
 */
export function manage(
  namespace: Namespace,
  name: string,
  stops: (right: "send" | "listen") => NodeResponse | undefined,
): AnswerRequest {
  return (request: DecodedMessage) => {
    const asked = String(request.application_properties?.operation ?? "");
    const operation = Object.hasOwn(OPERATIONS, asked) ? OPERATIONS[asked] : undefined;
    if (!operation) {
      return failure(501, "amqp:not-implemented", `${asked || "The request"} is not an operation known here.`);
    }
    const right = Object.hasOwn(SCHEDULE_REQUESTS, asked) ? "send" : "listen";
    const stopped = stops(right);
    if (stopped) return stopped;
    const body = request.body;
    if (body === null || typeof body !== "object") return failure(400, "amqp:decode-error", "The body must be a map.");
    return operation({ name, namespace, queue: namespace.queue(name), target: namespace.target(name) }, body as Body);
  };
}
