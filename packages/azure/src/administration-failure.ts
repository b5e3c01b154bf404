/** What can be done about a refusal of the administration API depends on the kind alone. */
export type AdministrationFailureKind =
  /** The credential is not accepted, or lacks the right to manage (Azure Service Bus Data Owner). */
  | "unauthorized"
  /** It is not there. */
  | "not-found"
  /** It is there already, or somebody else is changing it. */
  | "conflict"
  /** Azure does not do this here: a wrong setting, a tier that lacks it, a quota. */
  | "refused"
  /** The other side's certificate is of nobody that this process trusts. */
  | "untrusted"
  /** The namespace cannot be reached, or is busy; the same may work later. */
  | "transient";

/** The administration API did not do what was asked. Never holds a key or token. */
export class AdministrationError extends Error {
  readonly kind: AdministrationFailureKind;

  constructor(kind: AdministrationFailureKind, message: string, cause: unknown) {
    super(message, { cause });
    this.name = "AdministrationError";
    this.kind = kind;
  }
}

/** Codes of the SDK's `RestError`; `ServiceError` stands for several statuses and is sorted by them. */
const KINDS: Readonly<Record<string, AdministrationFailureKind>> = {
  UnauthorizedRequestError: "unauthorized",
  MessageEntityNotFoundError: "not-found",
  MessageEntityAlreadyExistsError: "conflict",
  InvalidOperationError: "refused",
  QuotaExceededError: "refused",
  ServerBusyError: "transient",
};
const STATUSES: Readonly<Record<number, AdministrationFailureKind>> = {
  400: "refused",
  403: "refused",
  409: "conflict",
};
/** Of `@azure/identity`: no credential was found, or the one found was not accepted. */
const IDENTITY = new Set(["CredentialUnavailableError", "AuthenticationError", "AggregateAuthenticationError"]);
const TLS = /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_|ERR_TLS_)/;

/** Sorts what the SDK threw. */
export function toAdministrationError(cause: unknown): AdministrationError {
  if (cause instanceof AdministrationError) return cause;
  const { name, code, statusCode, message } = (cause ?? {}) as {
    name?: string;
    code?: unknown;
    statusCode?: number;
    message?: string;
  };
  const text = typeof code === "string" ? code : "";
  const kind =
    KINDS[text] ??
    STATUSES[statusCode ?? 0] ??
    (IDENTITY.has(name ?? "") ? "unauthorized" : TLS.test(text) ? "untrusted" : "transient");
  return new AdministrationError(kind, withoutSecrets(message || text || "Service Bus gave no reason"), cause);
}

/** The SDK's messages hold no key today; nobody promises that of tomorrow's. */
const withoutSecrets = (text: string): string => text.replace(/(SharedAccessKey|sig)=[^;&\s"']+/gi, "$1=…");
