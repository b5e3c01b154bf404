import { defineConfig } from "vitest/config";

/** One running Millrace at a time: each is nine processes, and a test of lost messages must not be one of lost patience. */
export default defineConfig({
  test: { fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000, disableConsoleIntercept: true },
});
