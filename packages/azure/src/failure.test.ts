import { expect, it } from "vitest";
import { toFailure } from "./failure.ts";

const error = (code: string, message = "said so") => Object.assign(new Error(message), { code });

it.each([
  [error("MessageSizeExceeded"), { kind: "too-large", why: "MessageSizeExceeded: said so" }],
  [error("UnauthorizedAccess"), { kind: "unauthorized", why: "UnauthorizedAccess: said so" }],
  [error("MessagingEntityNotFound"), { kind: "not-found", why: "MessagingEntityNotFound: said so" }],
  [error("MessagingEntityDisabled"), { kind: "disabled" }],
  [error("ServiceBusy"), { kind: "busy", why: "ServiceBusy: said so" }],
  [error("ServiceTimeout"), { kind: "timeout" }],
  [error("ServiceCommunicationProblem"), { kind: "transient" }],
  [error("GeneralError", "InvalidOperationError: a session id is required"), { kind: "refused" }],
  [error("GeneralError", "InternalServerError: try again"), { kind: "transient" }],
  [new TypeError("sessionId must be a string"), { kind: "refused" }],
  [new AggregateError([error("ECONNREFUSED"), error("UnauthorizedAccess")]), { kind: "unauthorized" }],
  [new AggregateError([new AggregateError([error("QuotaExceeded")])]), { kind: "full" }],
  [undefined, { kind: "transient", why: "Service Bus gave no reason" }],
])("sorts %s", (cause, expected) => {
  expect(toFailure(cause)).toMatchObject(expected);
});
