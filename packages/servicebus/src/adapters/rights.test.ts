import { expect, test } from "vitest";
import { reaches } from "./rights.ts";

test.each([
  ["", "anything", true],
  ["Queue", "queue", true],
  ["queue", "queue/$deadletterqueue", true],
  ["topic", "topic/Subscriptions/one", true],
  ["topic", "topic/subscriptions/one/rules/r", true],
  ["topic/subscriptions/one", "Topic/Subscriptions/one/rules", true],
  ["topic/subscriptions/one", "topic", false],
  ["topic/subscriptions/one", "topic/subscriptions/one-more", false],
  ["queue", "queue2", false],
  ["queue", "queue/another", false],
])("a role on '%s' reaches '%s': %s", (scope, path, expected) => {
  expect(reaches(scope, path)).toBe(expected);
});
