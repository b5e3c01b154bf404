import { expect, test } from "vitest";
import { judge, type TestResult } from "./results.ts";

const known = { go: { fails: { why: "…" }, wavers: { why: "…", sometimes: true } } } as const;
const result = (name: string, outcome: TestResult["outcome"]): TestResult => ({
  suite: "go",
  test: name,
  outcome,
  ms: 1,
  output: "",
});

test("what fails as known, is skipped, or wavers as known is no news", () => {
  const results = [result("fails", "failed"), result("wavers", "failed"), result("wavers", "passed")];
  results.push(result("fine", "passed"), result("fails", "skipped"));
  expect(judge(results, known)).toEqual({ unexpected: [], mended: [] });
});

test("a failure that nobody has explained is news, and so is a known one that passes", () => {
  const [worse, better] = [result("new", "failed"), result("fails", "passed")];
  expect(judge([worse, better], known)).toEqual({ unexpected: [worse], mended: [better] });
});

test("a test of the same name in another suite is not known", () => {
  const other = { ...result("fails", "failed"), suite: "python" };
  expect(judge([other], known).unexpected).toEqual([other]);
});
