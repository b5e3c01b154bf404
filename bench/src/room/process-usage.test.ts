import { expect, test } from "vitest";
import { cpuTime, residentMiB } from "./process-usage.ts";

test("CPU time grows with work and not with waiting; memory is in MiB", () => {
  const before = cpuTime(process.pid);
  const until = performance.now() + 200;
  while (performance.now() < until);
  const used = cpuTime(process.pid) - before;
  expect(used).toBeGreaterThan(20);
  expect(used).toBeLessThan(1_000);
  const expected = process.memoryUsage.rss() / 2 ** 20;
  expect(residentMiB(process.pid)).toBeGreaterThan(expected / 2);
  expect(residentMiB(process.pid)).toBeLessThan(expected * 2);
});
