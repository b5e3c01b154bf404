import { startMillrace, type TestMillrace } from "@millrace/testkit";
import { MANIFEST } from "./readings.ts";

/** Everything that `npm start` runs, without the demonstration. */
export const startSystem = (): Promise<TestMillrace> => startMillrace();

/** Where requests to the benchmarks' model go. */
export const requestsUrl = ({ run }: TestMillrace): string =>
  `${run.http}/v1/${run.tenant}/${run.project}/models/${MANIFEST.name}/requests`;
