import { defineConfig } from "vitest/config";

/** These tests wait for processes and servers more than they compute: two files at a time, on however many cores. */
export default defineConfig({ test: { maxWorkers: 2 } });
