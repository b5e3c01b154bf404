/** Why a message was not taken: what the sender can do about it depends on the kind alone. */
export type SendFailureKind =
  /** Larger than the entity allows; the same message will never be taken. */
  | "too-large"
  /** The credential is not accepted, or lacks the Sender role on the entity. */
  | "unauthorized"
  /** No such topic or queue, or it is disabled. */
  | "not-found"
  /** The link, the service or its quota; the same message may be taken later. */
  | "transient";

export type SendFailure = { kind: SendFailureKind; why: string };

/** Codes of `ServiceBusError` that are not simply "later". */
const KINDS: Readonly<Record<string, SendFailureKind>> = {
  MessageSizeExceeded: "too-large",
  UnauthorizedAccess: "unauthorized",
  MessagingEntityNotFound: "not-found",
  MessagingEntityDisabled: "not-found",
};

/** Sorts what the SDK threw. An exhausted retry arrives as an `AggregateError` without a message of its own. */
export function toFailure(cause: unknown): SendFailure {
  const error = cause instanceof AggregateError ? (cause.errors.at(-1) as unknown) : cause;
  if (error instanceof AggregateError) return toFailure(error);
  const { code, name, message } = (error ?? {}) as { code?: unknown; name?: string; message?: string };
  const kind = (typeof code === "string" && KINDS[code]) || "transient";
  const words = [typeof code === "string" ? code : name, message].filter(Boolean).join(": ");
  return { kind, why: words || "Service Bus gave no reason" };
}
