import type { MessageQueue } from "../domain/queue.ts";
import type { Sessions } from "../domain/sessions.ts";
import { type Body, failure, nothingFound, type Operation, ok, onQueue } from "./management-operation.ts";
import type { NodeResponse } from "./request-node.ts";
import { types } from "./rhea.ts";

/** The sessions of a queue or subscription: their locks, their state, which there are. */
export const SESSION_REQUESTS: Readonly<Record<string, Operation>> = {
  "com.microsoft:renew-session-lock": onHeldSession((sessions, id) => {
    return ok({ expiration: types.wrap_timestamp(sessions.renew(id)!) });
  }),
  "com.microsoft:get-session-state": onHeldSession((sessions, id) =>
    ok({ "session-state": sessions.state(id) ?? null }),
  ),
  "com.microsoft:set-session-state": onHeldSession(setState),
  "com.microsoft:get-message-sessions": onQueue(listSessions),
};

/** The end of .NET's time: a client that gives it wants all sessions, with any other time those whose state is newer. */
const END_OF_TIME = Date.UTC(9999, 11, 31);
const MAX_STATE_BYTES = 256 * 1024;

function onHeldSession(operation: (sessions: Sessions, id: string, body: Body) => NodeResponse): Operation {
  return onQueue(({ sessions, name }, body) => {
    const id = body["session-id"];
    if (!sessions) return failure(400, "amqp:not-allowed", `${name} has no sessions.`);
    if (typeof id !== "string") return failure(400, "amqp:invalid-field", "Expected a session-id.");
    return sessions.held(id) ? operation(sessions, id, body) : sessionLost(id);
  });
}

function setState(sessions: Sessions, id: string, body: Body): NodeResponse {
  const given = body["session-state"] ?? undefined;
  if (given !== undefined && !Buffer.isBuffer(given)) {
    return failure(400, "amqp:invalid-field", "A session's state is binary.");
  }
  const state = given?.length === 0 ? undefined : given; // the Go SDK has no other way to take a state away
  if (state && state.length > MAX_STATE_BYTES) {
    return failure(403, "amqp:resource-limit-exceeded", `A session's state takes at most ${MAX_STATE_BYTES} bytes.`);
  }
  sessions.setState(id, state);
  return ok({});
}

function listSessions({ sessions, name }: MessageQueue, body: Body): NodeResponse {
  if (!sessions) return failure(400, "amqp:not-allowed", `${name} has no sessions.`);
  const since = Number(body["last-updated-time"] ?? END_OF_TIME);
  const skip = Number(body.skip ?? 0);
  const all = since >= END_OF_TIME ? sessions.withMessagesOrState() : sessions.withStateSince(since);
  const found = all.slice(skip, skip + Number(body.top ?? 100));
  if (found.length === 0) return nothingFound("No sessions");
  return ok({ skip: types.wrap_int(skip + found.length), "sessions-ids": found });
}

export const sessionLost = (id: string) =>
  failure(
    410,
    "com.microsoft:session-lock-lost",
    `The session '${id}' is not locked: its lock expired, or was released.`,
  );
