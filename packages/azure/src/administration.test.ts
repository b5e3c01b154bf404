import { type Broker, type BrokerConfig, start } from "@millrace/servicebus";
import { expect, test } from "vitest";
import { AdministrationError, openAdministration } from "./index.ts";

const config: BrokerConfig = {
  UserConfig: {
    Namespaces: [
      {
        Queues: [{ Name: "work", Properties: { RequiresSession: true, LockDuration: "PT30S" } }],
        Topics: [
          {
            Name: "news",
            Properties: { RequiresDuplicateDetection: true, DuplicateDetectionHistoryTimeWindow: "PT1M" },
            Subscriptions: [{ Name: "all" }],
          },
        ],
      },
    ],
  },
};

const broker = (): Promise<Broker> => start({ port: 0, host: "127.0.0.1", config, sharedAccessKey: "a test's key" });
const administrationOf = ({ connectionString, certificate }: Broker) =>
  openAdministration({ connectionString }, { ca: certificate });

/** The error of a call that must fail. */
const failure = async (call: Promise<unknown>): Promise<AdministrationError> => {
  const error = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(AdministrationError);
  return error as AdministrationError;
};

test("a path is read as the queue or topic that it is, with its settings, and as nothing when nothing is there", async () => {
  await using local = await broker();
  const administration = administrationOf(local);
  expect(await administration.tier()).toBe("Standard");
  expect(await administration.entity("WORK")).toEqual({
    kind: "queue",
    name: "work",
    settings: { sessions: true, lock_s: 30, deliveries_max: 10, size_max_mb: 1024 },
    status: "Active",
    partitioned: false,
  });
  expect(await administration.entity("news")).toEqual({
    kind: "topic",
    name: "news",
    settings: { duplicate_detection_s: 60, size_max_mb: 1024 },
    status: "Active",
    partitioned: false,
  });
  expect(await administration.entity("none")).toBeUndefined();
});

test("what is created and changed is read back; an update leaves other settings as they are", async () => {
  await using local = await broker();
  const administration = administrationOf(local);
  await administration.createEntity("queue", "made", { duplicate_detection_s: 700, lock_s: 20 });
  await administration.updateEntity("queue", "made", { duplicate_detection_s: 900, deliveries_max: 3 });
  const settings = { duplicate_detection_s: 900, lock_s: 20, deliveries_max: 3, sessions: false, size_max_mb: 1024 };
  expect(await administration.entity("made")).toMatchObject({ settings });
  await administration.updateEntity("topic", "news", { duplicate_detection_s: 3_600, size_max_mb: 2_048 });
  expect(await administration.entity("news")).toMatchObject({
    settings: { duplicate_detection_s: 3_600, size_max_mb: 2_048 },
  });
});

test("a subscription is made with its rule instead of the one that takes everything; rules are changed and removed", async () => {
  await using local = await broker();
  const administration = administrationOf(local);
  await administration.createSubscription("news", "dead", { sessions: true }, { name: "dead", sql: "state = 'dead'" });
  await administration.createSubscription("news", "plain", {});
  expect(await administration.rules("news", "dead")).toEqual([
    { name: "dead", sql: "state = 'dead'", filter: "state = 'dead'" },
  ]);
  expect(await administration.rules("news", "plain")).toMatchObject([{ name: "$Default", sql: "1=1" }]);
  await administration.updateSubscription("news", "plain", { lock_s: 45, deliveries_max: 4 });
  await administration.createRule("news", "plain", { name: "one", sql: "n = 1" });
  await administration.updateRule("news", "plain", { name: "one", sql: "n = 2" });
  await administration.deleteRule("news", "plain", "$Default");
  expect(await administration.rules("news", "plain")).toEqual([{ name: "one", sql: "n = 2", filter: "n = 2" }]);
  const subscriptions = await administration.subscriptions("news");
  expect(subscriptions.map(({ name }) => name)).toEqual(["all", "dead", "plain"]);
  expect(subscriptions[1]).toMatchObject({ settings: { sessions: true } });
  expect(subscriptions[2]).toMatchObject({ settings: { lock_s: 45, deliveries_max: 4, sessions: false } });
});

test("a topic with more subscriptions than a page holds is read to its end", async () => {
  await using local = await broker();
  const administration = administrationOf(local);
  for (let n = 0; n < 120; n++) await administration.createSubscription("news", `s${n}`, {});
  expect(await administration.subscriptions("news")).toHaveLength(121);
});

test("failures are sorted by what one can do, and hold no key", async () => {
  const local = await broker();
  const administration = administrationOf(local);
  expect((await failure(administration.subscriptions("none"))).kind).toBe("not-found");
  expect((await failure(administration.createEntity("topic", "news", {}))).kind).toBe("conflict");
  expect((await failure(administration.createEntity("queue", "q", { lock_s: 3_600 }))).kind).toBe("refused");

  const wrong = local.connectionString.replace("a test's key", "another key");
  const stranger = openAdministration({ connectionString: wrong }, { ca: local.certificate });
  const refused = await failure(stranger.entity("news"));
  expect(refused.kind).toBe("unauthorized");
  expect(refused.message).not.toContain("another key");

  const suspicious = openAdministration({ connectionString: local.connectionString });
  expect((await failure(suspicious.entity("news"))).kind).toBe("untrusted");

  await local.close();
  expect((await failure(administration.entity("news"))).kind).toBe("transient");
});
