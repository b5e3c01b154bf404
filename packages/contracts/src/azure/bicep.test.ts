import { expect, test } from "vitest";
import type { RoutesFile } from "../routes.ts";
import { bicepEntities, bicepIdentities } from "./bicep.ts";
import { AZURE_GRANTS, AZURE_ROLES, holdersOf } from "./roles.ts";
import { wantedOf } from "./wanted.ts";

function entities(file: RoutesFile) {
  const wanted = wantedOf(file);
  if (!wanted.ok) throw new Error(wanted.mistakes.join("; "));
  return bicepEntities(wanted.entities);
}

const of = { tenant: "acme", project: "plant" };
const FILE: RoutesFile = {
  routes: [
    { name: "all", topic: "predictions", outage_max_s: 90_061 },
    { name: "per-sensor", queue: "readings", message: { session_id: "{parameters.sensor}" } },
  ],
  sources: [
    { name: "orders", queue: "scoring-requests", ...of },
    { name: "asks", topic: "asks", subscription: "millrace", sessions: true, ...of },
  ],
  entities: [
    { queue: "replies", sessions: true, duplicate_detection_s: 3_600, size_max_mb: 2_048 },
    {
      topic: "predictions",
      subscriptions: [
        { name: "warehouse" },
        { name: "alerts", lock_s: 120, deliveries_max: 5, rules: [{ name: "dead", sql: "state = 'dead'" }] },
      ],
    },
  ],
};

test("topics and queues come out as Azure's resource manager names things", () => {
  expect(entities(FILE)).toEqual({
    topics: [
      {
        name: "predictions",
        duplicateDetectionWindow: "P1DT1H1M1S",
        senders: ["bridge"],
        subscriptions: [
          { name: "warehouse", requiresSession: false, receivers: [], rules: [] },
          {
            name: "alerts",
            requiresSession: false,
            lockDuration: "PT2M",
            maxDeliveryCount: 5,
            receivers: [],
            rules: [{ name: "dead", sql: "state = 'dead'" }],
          },
        ],
      },
      {
        name: "asks",
        senders: [],
        subscriptions: [{ name: "millrace", requiresSession: true, receivers: ["bridge"], rules: [] }],
      },
    ],
    queues: [
      {
        name: "readings",
        duplicateDetectionWindow: "PT10M",
        requiresSession: true,
        senders: ["bridge"],
        receivers: [],
      },
      { name: "scoring-requests", requiresSession: false, senders: [], receivers: ["bridge"] },
      {
        name: "replies",
        duplicateDetectionWindow: "PT1H",
        maxSizeInMegabytes: 2_048,
        requiresSession: true,
        senders: ["bridge"],
        receivers: [],
      },
    ],
  });
});

test("every place to which a route goes detects duplicates, though the file says nothing of it", () => {
  const { topics, queues } = entities({
    routes: [
      { name: "a", topic: "news" },
      { name: "b", queue: "work" },
    ],
  });
  expect([...topics, ...queues].map((it) => it.duplicateDetectionWindow)).toEqual(["PT10M", "PT10M"]);
});

test("only bridge and notifier have roles, none that manages, and each role is in the table of Azure's ids", () => {
  expect(new Set(AZURE_GRANTS.map(({ service }) => service))).toEqual(new Set(["bridge", "notifier"]));
  for (const { role } of AZURE_GRANTS) expect(AZURE_ROLES[role]).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  for (const role of Object.keys(AZURE_ROLES)) expect(role).not.toMatch(/Owner|Officer|Administrator/);
  expect(holdersOf("Storage Blob Data Contributor", "large results")).toEqual(["bridge"]);
  expect(bicepIdentities()).toMatchObject({ largeResultsWriters: ["bridge"], secretReaders: ["bridge", "notifier"] });
});
