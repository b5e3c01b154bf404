import type { Lock, Settlement } from "../domain/message.ts";
import type { MessageQueue } from "../domain/queue.ts";
import { tokenToUuid, uuidToToken } from "./lock-token.ts";
import {
  type Body,
  failure,
  listOf,
  longOf,
  nothingFound,
  type Operation,
  ok,
  onQueue,
} from "./management-operation.ts";
import { LOCK_LOST } from "./refusals.ts";
import type { NodeResponse } from "./request-node.ts";
import { types } from "./rhea.ts";
import { amendWith, encodeDelivery } from "./sections.ts";
import { sessionLost } from "./session-requests.ts";

const TIMESTAMP = 0x83;
const UUID_BYTES = 16;
const MESSAGES_PER_PEEK = 1000;
/** Azure's limit. */
const MESSAGES_PER_DELETION = 4000;

/** Looking at, locking and settling the messages of a queue or subscription. */
export const MESSAGE_REQUESTS: Readonly<Record<string, Operation>> = {
  "com.microsoft:peek-message": onQueue(peekMessage),
  "com.microsoft:renew-lock": onQueue(renewLock),
  "com.microsoft:update-disposition": onQueue(updateDisposition),
  "com.microsoft:receive-by-sequence-number": onQueue(receiveBySequenceNumber),
  "com.microsoft:batch-delete-messages": onQueue(deleteMessages),
};

function peekMessage(queue: MessageQueue, body: Body): NodeResponse {
  const count = Math.min(Number(body["message-count"] ?? 1), MESSAGES_PER_PEEK);
  const sessionId = body["session-id"];
  const inSession = queue.sessions && typeof sessionId === "string" ? sessionId : undefined;
  const found = queue.peek(longOf(body["from-sequence-number"]), count, inSession);
  if (found.length === 0) return nothingFound("No messages");
  return ok({ messages: found.map((message) => ({ message: encodeDelivery(message) })) });
}

function renewLock(queue: MessageQueue, body: Body): NodeResponse {
  const expirations = lockTokens(body).map((token) => queue.renew(token));
  if (expirations.length === 0 || expirations.includes(undefined)) return lockLost();
  return ok({ expirations: types.wrap_array(expirations, TIMESTAMP) });
}

function updateDisposition(queue: MessageQueue, body: Body): NodeResponse {
  const settlement = settlementOf(body);
  if (!settlement) return failure(400, "amqp:invalid-field", `Unknown disposition ${body["disposition-status"]}.`);
  const settled = lockTokens(body).map((token) => queue.settle(token, settlement));
  return settled.length > 0 && settled.every(Boolean) ? ok({}) : lockLost();
}

function receiveBySequenceNumber(queue: MessageQueue, body: Body): NodeResponse {
  const sessionId = String(body["session-id"] ?? "");
  const session = queue.sessions?.held(sessionId);
  if (queue.sessions && !session) return sessionLost(sessionId);
  const locks = queue.lockDeferred(listOf(body["sequence-numbers"]).map(longOf), session);
  if (locks.length === 0)
    return failure(404, "com.microsoft:message-not-found", "None of the messages is deferred here.");
  const removes = Number(body["receiver-settle-mode"] ?? 1) === 0;
  const messages = locks.map((lock) => received(lock, removes));
  if (removes) for (const lock of locks) queue.settle(lock.token, { kind: "complete" });
  return ok({ messages });
}

function deleteMessages(queue: MessageQueue, body: Body): NodeResponse {
  const count = Number(body["message-count"] ?? 0);
  if (!(count >= 1 && count <= MESSAGES_PER_DELETION)) {
    const description = `Between 1 and ${MESSAGES_PER_DELETION} messages can be deleted at once, not ${count}.`;
    return failure(400, "com.microsoft:argument-out-of-range", description);
  }
  const sessionId = String(body["session-id"] ?? "");
  const session = queue.sessions?.held(sessionId);
  if (queue.sessions && !session) return sessionLost(sessionId);
  const before = Number(body["enqueued-time-utc"] ?? Number.POSITIVE_INFINITY);
  if (Number.isNaN(before)) return failure(400, "amqp:invalid-field", "enqueued-time-utc is no time.");
  const deleted = queue.deleteBefore(before, count, session);
  if (deleted === 0) return nothingFound("No messages");
  return ok({ "message-count": types.wrap_int(deleted) });
}

const received = (lock: Lock, removes: boolean) =>
  removes
    ? { message: encodeDelivery(lock.message) }
    : { "lock-token": types.wrap_uuid(tokenToUuid(lock.token)), message: encodeDelivery(lock.message, lock) };

function settlementOf(body: Body): Settlement | undefined {
  const changes = body["properties-to-modify"] as Record<string, unknown> | undefined;
  const amend = changes && Object.keys(changes).length > 0 ? { amend: amendWith(changes) } : {};
  switch (body["disposition-status"]) {
    case "completed":
      return { kind: "complete" };
    case "abandoned":
      return { kind: "abandon", ...amend };
    case "defered": // as the protocol spells it
      return { kind: "defer", ...amend };
    case "suspended": {
      const reason = body["deadletter-reason"];
      const description = body["deadletter-description"];
      return {
        kind: "dead-letter",
        ...(typeof reason === "string" && { reason }),
        ...(typeof description === "string" && { description }),
        ...amend,
      };
    }
    default:
      return undefined;
  }
}

const lockTokens = (body: Body): string[] =>
  listOf(body["lock-tokens"])
    .filter((uuid): uuid is Buffer => Buffer.isBuffer(uuid) && uuid.length === UUID_BYTES)
    .map(uuidToToken);

const lockLost = () => failure(410, "com.microsoft:message-lock-lost", LOCK_LOST);
