import type { Report } from "./report.ts";

export type RunOptions = {
  /** Fewer and shorter rounds: to see that it works, and orders of magnitude. */
  quick: boolean;
  /** How many requests, where a benchmark has a size; its own default when absent. */
  size?: number;
};

/** One benchmark: starts what it needs on free ports with throw-away data, measures, and ends what it started. */
export type Benchmark = { about: string; run(options: RunOptions): Promise<Report> };
