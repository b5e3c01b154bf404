/** Why a message was not taken: what the sender can do about it depends on the kind alone. */
export type SendFailureKind =
  /** Larger than the entity allows; the same message will never be taken. */
  | "too-large"
  /** Not sent, because one before it in its session was not taken. */
  | "behind"
  /** The entity does not take such a message: one without a session id where sessions are required, for instance. */
  | "refused"
  /** The credential is not accepted, or lacks the Sender role on the entity. */
  | "unauthorized"
  /** No such topic or queue. */
  | "not-found"
  /** The topic or queue is disabled, or takes no messages. */
  | "disabled"
  /** The topic or queue holds as much as it may. */
  | "full"
  /** The namespace is throttled: everybody should send less. */
  | "busy"
  /** No answer came in time: whether the message was taken is not known. */
  | "timeout"
  /** The link or the service; the same message may be taken later. */
  | "transient";

export type SendFailure = { kind: SendFailureKind; why: string };

/** Codes of `ServiceBusError` that are not simply "later". */
const KINDS: Readonly<Record<string, SendFailureKind>> = {
  MessageSizeExceeded: "too-large",
  UnauthorizedAccess: "unauthorized",
  MessagingEntityNotFound: "not-found",
  MessagingEntityDisabled: "disabled",
  QuotaExceeded: "full",
  ServiceBusy: "busy",
  ServiceTimeout: "timeout",
};

/** The SDK has one code for these, and says which one it was at the head of the message. */
const REFUSALS = /^(InvalidOperationError|ArgumentError|ArgumentOutOfRangeError|NotImplementedError):/;

/** Sorts what the SDK threw. An exhausted retry arrives as an `AggregateError` without a message of its own. */
export function toFailure(cause: unknown): SendFailure {
  const error = cause instanceof AggregateError ? (cause.errors.at(-1) as unknown) : cause;
  if (error instanceof AggregateError) return toFailure(error);
  const { code, name, message } = (error ?? {}) as { code?: unknown; name?: string; message?: string };
  const words = [typeof code === "string" ? code : name, message].filter(Boolean).join(": ");
  return { kind: kindOf(error, code, message), why: words || "Service Bus gave no reason" };
}

function kindOf(error: unknown, code: unknown, message = ""): SendFailureKind {
  if (typeof code === "string" && Object.hasOwn(KINDS, code)) return KINDS[code]!;
  // The SDK itself refuses what it cannot encode.
  if (error instanceof TypeError || error instanceof RangeError) return "refused";
  return code === "GeneralError" && REFUSALS.test(message) ? "refused" : "transient";
}
