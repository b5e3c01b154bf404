import { startMillrace, type TestMillrace } from "@millrace/testkit";
import { MANIFEST } from "./readings.ts";
import { profiling } from "./worker.ts";

/** Everything that `npm start` runs, without the demonstration. */
export const startSystem = (): Promise<TestMillrace> => {
  const options = profiling();
  return startMillrace({ env: options.length > 0 ? { NODE_OPTIONS: options.join(" ") } : {} });
};

/** Where requests to the benchmarks' model go. */
export const requestsUrl = ({ run }: TestMillrace): string =>
  `${run.http}/v1/${run.tenant}/${run.project}/models/${MANIFEST.name}/requests`;
