import { expect, test } from "vitest";
import type { RoutesFile } from "../routes.ts";
import { emulatorConfig } from "./emulator.ts";
import { wantedOf } from "./wanted.ts";

function configOf(file: RoutesFile) {
  const wanted = wantedOf(file);
  if (!wanted.ok) throw new Error(wanted.mistakes.join("; "));
  return emulatorConfig(wanted.entities);
}

test("what the emulator can have comes out in its own form", () => {
  const made = configOf({
    routes: [
      { name: "all", topic: "predictions", outage_max_s: 120 },
      { name: "per-sensor", queue: "readings", outage_max_s: 60, message: { session_id: "{parameters.sensor}" } },
    ],
    entities: [
      {
        topic: "predictions",
        subscriptions: [
          { name: "warehouse" },
          { name: "alerts", lock_s: 120, deliveries_max: 5, rules: [{ name: "dead", sql: "state = 'dead'" }] },
        ],
      },
    ],
  });
  expect(made).toMatchObject({ ok: true, warnings: [] });
  expect(made.ok && made.config.UserConfig.Namespaces).toEqual([
    {
      Name: "sbemulatorns",
      Queues: [
        {
          Name: "readings",
          Properties: {
            DefaultMessageTimeToLive: "PT1H",
            RequiresDuplicateDetection: true,
            DuplicateDetectionHistoryTimeWindow: "PT1M",
            RequiresSession: true,
            MaxDeliveryCount: 10,
          },
        },
      ],
      Topics: [
        {
          Name: "predictions",
          Properties: {
            DefaultMessageTimeToLive: "PT1H",
            RequiresDuplicateDetection: true,
            DuplicateDetectionHistoryTimeWindow: "PT2M",
          },
          Subscriptions: [
            {
              Name: "warehouse",
              Properties: { DefaultMessageTimeToLive: "PT1H", RequiresSession: false, MaxDeliveryCount: 10 },
            },
            {
              Name: "alerts",
              Properties: {
                DefaultMessageTimeToLive: "PT1H",
                RequiresSession: false,
                MaxDeliveryCount: 5,
                LockDuration: "PT2M",
              },
              Rules: [
                { Name: "dead", Properties: { FilterType: "Sql", SqlFilter: { SqlExpression: "state = 'dead'" } } },
              ],
            },
          ],
        },
      ],
    },
  ]);
});

test("what is more than the emulator takes is narrowed, and each narrowing is said", () => {
  const made = configOf({
    routes: [{ name: "all", topic: "predictions" }],
    entities: [
      {
        topic: "predictions",
        duplicate_detection_s: 86_400,
        size_max_mb: 5_120,
        subscriptions: [{ name: "slow", lock_s: 30, deliveries_max: 20 }],
      },
    ],
  });
  expect(made.ok && made.warnings).toEqual([
    "topic predictions: the emulator keeps 100 MB, not 5120",
    "topic predictions: a repeat is recognised for 300 s, not 86400: after a longer outage it comes twice",
    "subscription predictions/slow: a lock lasts 60 s, not 30",
    "subscription predictions/slow: a message is a dead letter after 10 deliveries, not 20",
  ]);
  expect(made.ok && made.config.UserConfig.Namespaces[0].Topics).toMatchObject([
    {
      Properties: { DuplicateDetectionHistoryTimeWindow: "PT5M" },
      Subscriptions: [{ Properties: { LockDuration: "PT1M", MaxDeliveryCount: 10 } }],
    },
  ]);
});

test("what the emulator cannot have is refused, all of it at once", () => {
  const many = Array.from({ length: 51 }, (_, index) => ({ name: `s${index}` }));
  const made = configOf({
    routes: Array.from({ length: 51 }, (_, index) => ({
      name: `r${index}`,
      queue: index === 0 ? "ends-with-" : `q${index}`,
    })),
    entities: [{ topic: "news", subscriptions: many }],
  });
  expect(made).toEqual({
    ok: false,
    mistakes: [
      "queues and topics: 52, and the emulator takes 50 at most",
      'queue ends-with-: the emulator takes no name like "ends-with-"; it ends with a letter or digit',
      "subscriptions of topic news: 51, and the emulator takes 50 at most",
    ],
  });
});
