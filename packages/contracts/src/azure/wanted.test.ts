import { expect, test } from "vitest";
import type { RoutesFile } from "../routes.ts";
import { isDestination, wantedOf } from "./wanted.ts";

/** The entities of a file without contradictions. */
function wanted(file: Partial<RoutesFile>) {
  const result = wantedOf({ routes: [], ...file });
  if (!result.ok) throw new Error(result.mistakes.join("; "));
  return result.entities;
}
function mistakes(file: Partial<RoutesFile>): string {
  const result = wantedOf({ routes: [], ...file });
  return result.ok ? "none" : result.mistakes.join("; ");
}

test("an entity remembers ids for the longest outage that one of its routes promises, 600 s unless it says", () => {
  const routes = [
    { name: "a", topic: "News" },
    { name: "b", topic: "news", outage_max_s: 3_600 },
    { name: "c", topic: "news", outage_max_s: 60 },
    { name: "d", queue: "work" },
  ];
  expect(wanted({ routes })).toMatchObject([
    { kind: "topic", name: "News", settings: { duplicate_detection_s: 3_600 }, outage: { seconds: 3_600, route: "b" } },
    { kind: "queue", name: "work", settings: { duplicate_detection_s: 600, sessions: false } },
  ]);
});

test("a queue requires sessions exactly when its routes send session ids; a topic leaves that to subscriptions", () => {
  const message = { session_id: "{parameters.sensor}" };
  expect(wanted({ routes: [{ name: "a", queue: "q", message }] })).toMatchObject([{ settings: { sessions: true } }]);
  expect(wanted({ routes: [{ name: "a", topic: "t", message }] })[0]!.settings).not.toHaveProperty("sessions");
  const routes = [
    { name: "a", queue: "q", message },
    { name: "b", queue: "q" },
  ];
  expect(mistakes({ routes })).toContain("route b: queue q must not have sessions");
  expect(mistakes({ routes: [{ name: "b", queue: "q" }], entities: [{ queue: "q", sessions: true }] })).toContain(
    "needs sessions",
  );
});

test("a source's queue or subscription exists with sessions as it says, and needs no duplicate detection", () => {
  const of = { tenant: "acme", project: "plant" };
  const sources = [
    { name: "a", queue: "orders", sessions: true, ...of },
    { name: "b", topic: "asks", subscription: "millrace", ...of },
  ];
  expect(wanted({ sources })).toMatchObject([
    { name: "orders", settings: { sessions: true }, neededBy: ["source a"] },
    { name: "asks", settings: {}, subscriptions: [{ name: "millrace", settings: { sessions: false } }] },
  ]);
  expect(mistakes({ sources: [{ name: "a", topic: "asks", ...of }] })).toContain(
    "names a queue, or a topic with its subscription",
  );
});

test("entities add subscriptions, rules and settings to what routes need", () => {
  const rules = [{ name: "dead", sql: "state = 'dead'" }];
  const [topic] = wanted({
    routes: [{ name: "a", topic: "news" }],
    entities: [
      {
        topic: "NEWS",
        duplicate_detection_s: 86_400,
        size_max_mb: 2_048,
        subscriptions: [{ name: "ops", sessions: true, lock_s: 90, deliveries_max: 5, rules }],
      },
    ],
  });
  expect(topic).toMatchObject({
    settings: { duplicate_detection_s: 86_400, size_max_mb: 2_048 },
    subscriptions: [{ name: "ops", settings: { sessions: true, lock_s: 90, deliveries_max: 5 }, rules }],
  });
});

test("every contradiction is named at once", () => {
  const said = mistakes({
    routes: [
      { name: "both", topic: "a", queue: "b" },
      { name: "neither" },
      { name: "x", topic: "same" },
      { name: "x", queue: "same" },
    ],
    entities: [
      { topic: "same", duplicate_detection_s: 60, sessions: true, subscriptions: [{ name: "s", rules: [] }] },
      { queue: "q", subscriptions: [{ name: "s" }] },
      { topic: "t", subscriptions: [{ name: "s" }, { name: "S" }] },
    ],
  });
  for (const part of [
    "route both: / names both or neither",
    "route neither: / names both or neither",
    "routes: the name x is used twice",
    "same is a topic for route x",
    "a window of 60 s is shorter than the outage of 600 s that route x promises",
    "sessions belong to its subscriptions",
    "without a rule it receives nothing",
    "a queue has no subscriptions",
    "the name S is used twice",
  ])
    expect(said).toContain(part);
});

test("the bridge sends where routes go and where entities say, and not to what it only receives from", () => {
  const of = { tenant: "acme", project: "plant" };
  const entities = wanted({
    routes: [{ name: "a", topic: "news" }],
    sources: [
      { name: "b", queue: "orders", ...of },
      { name: "c", topic: "asks", subscription: "millrace", ...of },
    ],
    entities: [{ queue: "orders", size_max_mb: 2_048 }, { queue: "replies" }],
  });
  expect(entities.filter(isDestination).map(({ name }) => name)).toEqual(["news", "replies"]);
  expect(entities.filter(({ isSource }) => isSource).map(({ name }) => name)).toEqual(["orders"]);
  expect(entities.find(({ name }) => name === "asks")!.subscriptions).toMatchObject([{ isSource: true }]);
});
