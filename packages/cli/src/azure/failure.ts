import type { AdministrationError, AdministrationFailureKind } from "@millrace/azure";
import { EXIT, type ExitCode, Failure } from "../failure.ts";
import type { Target } from "./target.ts";

const KINDS: Readonly<Record<AdministrationFailureKind, { exit: ExitCode; what: string; fix: string }>> = {
  unauthorized: {
    exit: EXIT.refused,
    what: "does not let you manage it",
    fix: "The identity needs the role Azure Service Bus Data Owner on the namespace; a key, a policy with Manage.",
  },
  "not-found": {
    exit: EXIT.refused,
    what: "lost something while it was looked at",
    fix: "Somebody deletes there at the same time. Run the plan again.",
  },
  conflict: {
    exit: EXIT.refused,
    what: "has it already, or somebody changes it now",
    fix: "Somebody else was faster. Run the plan again: it compares with what is there now.",
  },
  refused: { exit: EXIT.refused, what: "refuses it", fix: "Change what the reason names, then run the plan again." },
  untrusted: {
    exit: EXIT.usage,
    what: "shows a certificate that is not trusted",
    fix: "Of a local Service Bus, name its certificate by NODE_EXTRA_CA_CERTS, or its Millrace by --data DIR.",
  },
  transient: {
    exit: EXIT.unavailable,
    what: "cannot be reached or is busy",
    fix: "Check the name, the network and its firewall; the same command later may work.",
  },
};

/** An error of the administration API as one that ends a command; anything else is a bug and stays one. */
export function failureOf({ name }: Target, cause: unknown): unknown {
  // The class is of a package that is loaded only when needed, so it is known by its name.
  if (!(cause instanceof Error) || cause.name !== "AdministrationError") return cause;
  const { kind, message } = cause as AdministrationError;
  const { exit, what, fix } = KINDS[kind];
  return new Failure(exit, { what: `Service Bus ${name} ${what}`, why: message, fix, cause });
}
