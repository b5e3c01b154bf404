import { expect, test } from "vitest";
import { figure, ratio, render, shown } from "./report.ts";
import { summarize } from "./statistics.ts";

test("numbers are shown with the digits that mean something", () => {
  expect([1_234_567, 999.4, 0.01234, 0].map(shown)).toEqual(["1 234 567", "999", "0.0123", "0"]);
});

test("a report has a line per figure and ratio, with its spread, and the notes", () => {
  const text = render("thing", {
    figures: [figure("ours", "messages/s", summarize([2_000, 1_000, 3_000]))],
    ratios: [ratio("ours / theirs", "by the same job", summarize([0.5]))],
    rounds: 3,
    notes: ["256-byte messages"],
  });
  expect(text).toContain("ours               2 000 messages/s  (1 000 – 3 000)");
  expect(text).toContain("×0.50 by the same job");
  expect(text).toContain("· 256-byte messages");
});
