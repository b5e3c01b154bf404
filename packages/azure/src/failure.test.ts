import { expect, it } from "vitest";
import { toFailure } from "./failure.ts";

const error = (code: string, message = "said so") => Object.assign(new Error(message), { code });

it.each([
  [error("MessageSizeExceeded"), { kind: "too-large", why: "MessageSizeExceeded: said so" }],
  [error("UnauthorizedAccess"), { kind: "unauthorized", why: "UnauthorizedAccess: said so" }],
  [error("MessagingEntityNotFound"), { kind: "not-found", why: "MessagingEntityNotFound: said so" }],
  [error("ServiceBusy"), { kind: "transient", why: "ServiceBusy: said so" }],
  [new AggregateError([error("ECONNREFUSED"), error("UnauthorizedAccess")]), { kind: "unauthorized" }],
  [new AggregateError([new AggregateError([error("QuotaExceeded")])]), { kind: "transient" }],
  [undefined, { kind: "transient", why: "Service Bus gave no reason" }],
])("sorts %s", (cause, expected) => {
  expect(toFailure(cause)).toMatchObject(expected);
});
