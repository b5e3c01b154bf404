/** How one test of a suite ended. */
export interface TestResult {
  readonly suite: string;
  readonly test: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly ms: number;
  /** What it printed. */
  readonly output: string;
}

export interface SuiteOptions {
  /** What the tests read. */
  readonly environment: Readonly<Record<string, string>>;
  /** Which tests, by name. */
  readonly only: RegExp;
  /** How long one test, or a suite that runs as one program, may take. */
  readonly testMs: number;
  readonly onResult: (result: TestResult) => void;
}

export interface KnownFailure {
  readonly why: string;
  /** It depends on timing: passing now and then is no news. */
  readonly sometimes?: true;
}

/** By suite, then test. */
export type KnownFailures = Readonly<Record<string, Readonly<Record<string, KnownFailure>>>>;

export interface Verdict {
  /** Failed, and nobody has said why: the broker got worse. */
  readonly unexpected: readonly TestResult[];
  /** Listed as failing, and passed: the entry is to be taken out. */
  readonly mended: readonly TestResult[];
}

/** Compares results with the list of known failures. */
export function judge(results: readonly TestResult[], known: KnownFailures): Verdict {
  const entry = ({ suite, test }: TestResult) => known[suite]?.[test];
  return {
    unexpected: results.filter((result) => result.outcome === "failed" && !entry(result)),
    mended: results.filter((result) => result.outcome === "passed" && entry(result) && !entry(result)?.sometimes),
  };
}
