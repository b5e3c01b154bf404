import type { ProblemDocument } from "@millrace/contracts";

/** What the process exits with. Scripts may branch on them. */
export const EXIT = {
  ok: 0,
  /** The books do not balance, or the server refused what was asked. */
  refused: 1,
  /** The command line, a file it names, or the settings are wrong. */
  usage: 2,
  /** The server could not be reached, or cannot answer now: the same command later may work. */
  unavailable: 3,
  /** Nothing is wrong, and something is to be done: `azure plan` found changes that `azure apply` would make. */
  pending: 4,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends the command: what happened, why, and what to do about it. */
export class Failure extends Error {
  readonly exitCode: ExitCode;
  readonly why: string | undefined;
  readonly fix: string | undefined;
  /** What the server answered. */
  readonly document: ProblemDocument | undefined;

  constructor(
    exitCode: ExitCode,
    of: { what: string; why?: string; fix?: string; document?: ProblemDocument; cause?: unknown },
  ) {
    super(of.what, { cause: of.cause });
    this.name = "Failure";
    this.exitCode = exitCode;
    this.why = of.why;
    this.fix = of.fix;
    this.document = of.document;
  }
}

/** A mistake in how the command was called. */
export const usage = (what: string, fix?: string): Failure =>
  new Failure(EXIT.usage, { what, ...(fix === undefined ? {} : { fix }) });
